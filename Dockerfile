# Ingest, transforms, Airflow and the map: one image, as one environment was tested.
FROM python:3.11-slim-bookworm

RUN groupadd --gid 10001 clearway \
 && useradd --uid 10001 --gid clearway --create-home --home-dir /var/lib/clearway clearway
WORKDIR /opt/clearway
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY core core
COPY broker broker
COPY edge edge
COPY fleet fleet
COPY ingest ingest
COPY transforms transforms
COPY models models
COPY quality quality
COPY serving serving
COPY cli cli
COPY cities cities
COPY dags dags
RUN pip install --no-cache-dir --constraint constraints.txt '.[airflow,serving]'
USER clearway
ENV CLEARWAY_DATA_DIR=/var/lib/clearway AIRFLOW_HOME=/var/lib/clearway/airflow
ENTRYPOINT []
CMD ["clearway", "--help"]
