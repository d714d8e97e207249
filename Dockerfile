FROM debian:12
COPY . /tenon
