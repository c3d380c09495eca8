# The image of `model-manager serve`; docs/image.md says how to build, run and verify it.
#
# Two layers lie on the base: what is installed from the lock, which changes rarely, and the server, which is small.
ARG PYTHON_IMAGE=python:3.11-slim

# Everything that locks/serve.txt pins, by hash, in an environment that holds no pip of its own.
FROM ${PYTHON_IMAGE} AS locked
WORKDIR /src
COPY locks/serve.txt locks/serve.txt
# A package index behind a private CA, or behind a login, is told to pip by secrets: no layer ever holds them.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem,required=false \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python --disable-pip-version-check install \
        --no-cache-dir --no-compile --require-hashes --requirement locks/serve.txt

# The server, built by the locked hatchling into a prefix of its own.
FROM locked AS server
COPY pyproject.toml README.md LICENSE ./
COPY server server
# Bytecode is never checked against its source: the files cannot change, and a builder may rewrite their times.
RUN /opt/venv/bin/python -m hatchling build --target wheel \
    && pip --python /opt/venv/bin/python --disable-pip-version-check install \
        --no-cache-dir --no-compile --no-index --no-deps --prefix /opt/server dist/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/server

# What is needed to serve: neither the packages that only build, nor the libraries' own tests and C sources.
FROM locked AS libraries
RUN pip --python /opt/venv/bin/python --disable-pip-version-check uninstall --yes \
        editables hatchling pathspec pluggy tomlkit trove-classifiers \
    && find /opt/venv -type d \( -name tests -o -path '*/onnx/backend/test' -o -path '*/joblib/test' \) -prune \
        -exec rm -r {} + \
    && find /opt/venv -type f -regex '.*\.\(c\|cc\|cpp\|h\|hpp\|pyx\|pxd\|pxi\|tp\)' -delete \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv

# `make sbom`: what the image holds, as CycloneDX.
FROM libraries AS inventory
COPY locks/sbom.txt locks/sbom.txt
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/run/secrets/ca.pem,required=false \
    python -m venv --without-pip /opt/sbom \
    && pip --python /opt/sbom/bin/python --disable-pip-version-check install \
        --no-cache-dir --require-hashes --requirement locks/sbom.txt
COPY --from=server /opt/server /opt/venv
COPY pyproject.toml ./
RUN mkdir /sbom && /opt/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
        --output-reproducible --output-file /sbom/model-manager.cdx.json /opt/venv

FROM scratch AS sbom
COPY --from=inventory /sbom /

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="model-manager" \
      org.opencontainers.image.description="An async inference server for scikit-learn models that hot-loads versions from a mounted ConfigMap." \
      org.opencontainers.image.licenses="Apache-2.0"
# The official base ships its standard library without bytecode, and a read-only root could never keep any:
# every start would compile it again.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(site-packages|dist-packages|tests?|idlelib|lib2to3|tkinter|turtledemo|ensurepip|pydoc_data)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=libraries /opt/venv /opt/venv
COPY --from=server /opt/server /opt/venv
# ONNX Runtime reports to its maker by default.
ENV PATH="/opt/venv/bin:$PATH" \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MODEL_MANAGER_MODELS=/models \
    MODEL_MANAGER_LOG_FORMAT=json
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["model-manager", "serve"]
