# rt-seg on a CPU.
#
#   docker build --tag rt-seg .
#   docker run --rm --volume "$PWD:/data" --user "$(id -u):$(id -g)" rt-seg stream video.mp4 -o overlay.mp4
#
# Never built or run: no registry could be reached where it was written. It was linted with hadolint.
# It holds PyAV's wheel, and with it GPL code: THIRD_PARTY.md says what follows for whoever hands an image on.

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/rt-seg \
    && /opt/rt-seg/bin/pip install --no-cache-dir --constraint docker/constraints.txt . \
    && /opt/rt-seg/bin/python -m compileall -q /opt/rt-seg/lib

FROM python:3.11.14-slim-bookworm
# no versions of Debian's packages: its security updates are wanted
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --create-home --home-dir /data rt-seg
COPY --from=build /opt/rt-seg /opt/rt-seg
COPY docker/healthcheck.py /opt/rt-seg/healthcheck.py
ENV PATH=/opt/rt-seg/bin:$PATH \
    XDG_CACHE_HOME=/tmp/cache
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8420
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "/opt/rt-seg/healthcheck.py"]
ENTRYPOINT ["rt-seg"]
CMD ["--help"]
