"""What fleets and sensors push to a gateway that listens."""
