#!/bin/sh
# Downloads MNIST into a folder; files that are there and right are left alone.
set -eu

mirrors='https://ossci-datasets.s3.amazonaws.com/mnist
https://storage.googleapis.com/cvdf-datasets/mnist'

files='440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 train-images-idx3-ubyte.gz
3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c train-labels-idx1-ubyte.gz
8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 t10k-images-idx3-ubyte.gz
f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 t10k-labels-idx1-ubyte.gz'

usage() {
    cat <<'END'
usage: download_mnist.sh [FOLDER]

Downloads the four files of MNIST (11 MB) into FOLDER, by default the folder
mnist next to this script. Files that are there with the right SHA-256 are kept.
Needs curl, and sha256sum or shasum.
END
}

fail() {
    echo "download_mnist.sh: $1" >&2
    exit 1
}

case ${1-} in
-h | --help)
    usage
    exit 0
    ;;
-*)
    usage >&2
    exit 2
    ;;
esac
if [ $# -gt 1 ]; then
    usage >&2
    exit 2
fi

if command -v sha256sum >/dev/null 2>&1; then
    sha256() { sha256sum <"$1"; }
elif command -v shasum >/dev/null 2>&1; then
    sha256() { shasum -a 256 <"$1"; }
else
    fail 'needs sha256sum or shasum, found neither'
fi
command -v curl >/dev/null 2>&1 || fail 'needs curl, found none'

# is_right FILE SUM
is_right() {
    [ -f "$1" ] || return 1
    actual=$(sha256 "$1") || return 1
    [ "${actual%% *}" = "$2" ]
}

folder=${1:-$(dirname -- "$0")/mnist}
mkdir -p -- "$folder"
temporary=$(mktemp -d -- "$folder/download.XXXXXX")
trap 'rm -rf -- "$temporary"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# fetch NAME SUM: from the first mirror that has it right
fetch() {
    for mirror in $mirrors; do
        echo "$1 from $mirror"
        if curl --fail --location --silent --show-error --connect-timeout 20 --retry 2 \
            --output "$temporary/$1" "$mirror/$1"; then
            if is_right "$temporary/$1" "$2"; then
                chmod 644 "$temporary/$1"
                mv -f -- "$temporary/$1" "$folder/$1"
                return 0
            fi
            echo "download_mnist.sh: $mirror/$1 has the wrong SHA-256" >&2
        fi
        rm -f -- "$temporary/$1"
    done
    return 1
}

# Not a pipe: fail must end the script itself.
while read -r sum name; do
    if is_right "$folder/$name" "$sum"; then
        echo "$name is there"
    else
        fetch "$name" "$sum" || fail "no mirror has a right $name"
    fi
done <<END
$files
END
