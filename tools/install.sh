#!/bin/sh
# Install what a lock file pins, by hash, and this checkout, into a virtual environment, and say how it goes:
#     sh tools/install.sh VENV LOCK PYTHON
# With uv where there is one and pip has no index of its own, which uv would not know of; with pip otherwise.
set -eu
venv=$1 lock=$2 python=$3

if [ ! -x "$venv/bin/python" ]; then
    echo "creating $venv with $("$python" --version)" >&2
    "$python" -m venv "$venv"
fi
pip="$venv/bin/python -m pip --disable-pip-version-check"

# Say on a terminal where pip is by now; anywhere else it is enough to have said what is done.
follow() {
    if [ -t 2 ]; then
        awk -v all="$packages" '
            /^Collecting /           { printf "\r\033[K  %d of about %d: %s", ++n, all, $2 > "/dev/stderr"; fflush("/dev/stderr") }
            /^Installing collected / { printf "\r\033[K  unpacking" > "/dev/stderr"; fflush("/dev/stderr") }
            END                      { printf "\r\033[K" > "/dev/stderr" }'
    else
        cat > /dev/null
    fi
}

packages=$(grep -c '^[a-z0-9].*==' "$lock")
begun=$(date +%s)
if command -v uv > /dev/null && ! $pip config list | grep -q 'index-url'; then
    echo "installing $packages packages of $lock into $venv, with uv: half a minute, or seconds from its cache" >&2
    uv pip install --python "$venv/bin/python" --require-hashes --requirement "$lock"
    uv pip install --python "$venv/bin/python" --quiet --no-deps --no-build-isolation --editable .
else
    echo "installing $packages packages of $lock into $venv, with pip: a minute or two, half a minute from its cache" >&2
    failed=$(mktemp)
    # no bytecode beforehand: Python compiles what is imported, which is the smaller part
    { PYTHONUNBUFFERED=1 $pip install --no-compile --require-hashes --requirement "$lock" || echo failed > "$failed"; } | follow
    if [ -s "$failed" ]; then rm "$failed"; exit 1; fi
    rm "$failed"
    $pip install --quiet --no-deps --no-build-isolation --editable .
fi
echo "installed in $(($(date +%s) - begun)) s: $(du -sm "$venv" | cut -f1) MB" >&2
