"""What vehicles and sensors publish at a broker."""
