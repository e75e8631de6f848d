#!/bin/sh
# Runs the download script, given as the only argument, against a curl that serves from a folder.
set -eu

script=$1
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
names='train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz'

fail() {
    echo "FAILED: $1" >&2
    cat "$work/output" >&2
    exit 1
}

# expect SENTENCE COMMAND...: the command succeeds
expect() {
    sentence=$1
    shift
    "$@" || fail "$sentence"
}

# The script itself, but for the sums of the files served here.
mkdir "$work/served" "$work/bin"
cp -- "$script" "$work/download.sh"
for name in $names; do
    echo "content of $name" >"$work/served/$name"
    sum=$(sha256sum <"$work/served/$name")
    sed "s/[0-9a-f]\{64\} $name/${sum%% *} $name/" "$work/download.sh" >"$work/edited"
    mv "$work/edited" "$work/download.sh"
done

# BROKEN names the hosts that do not answer, WRONG those that answer with something else.
cat >"$work/bin/curl" <<'END'
#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" = --output ] && output=$2
    shift
done
echo "$1" >>"$WORK/requests"
for host in $BROKEN; do
    case $1 in *"$host"*) echo part >"$output"; exit 22 ;; esac
done
for host in $WRONG; do
    case $1 in *"$host"*) echo '<html>' >"$output"; exit 0 ;; esac
done
cp "$WORK/served/${1##*/}" "$output"
END
chmod +x "$work/bin/curl"

# run BROKEN WRONG FOLDER: in $status, $work/output and $work/requests
run() {
    : >"$work/requests"
    status=0
    WORK=$work BROKEN=$1 WRONG=$2 PATH=$work/bin:$PATH sh "$work/download.sh" "$3" >"$work/output" 2>&1 || status=$?
}
requests() { wc -l <"$work/requests" | tr -d ' '; }
has_all() {
    for name in $names; do cmp -s "$work/served/$name" "$1/$name" || return 1; done
    [ "$(find "$1" -mindepth 1 | wc -l)" -eq 4 ]
}

run '' '' "$work/a new folder"
expect 'a download succeeds' [ "$status" -eq 0 ]
expect 'all files are downloaded, and nothing else is left' has_all "$work/a new folder"
expect 'one request a file is enough' [ "$(requests)" -eq 4 ]

run '' '' "$work/a new folder"
expect 'a second download succeeds' [ "$status" -eq 0 ]
expect 'files that are right are not downloaded again' [ "$(requests)" -eq 0 ]

echo damaged >"$work/a new folder/t10k-labels-idx1-ubyte.gz"
run '' '' "$work/a new folder"
expect 'a damaged file is replaced' has_all "$work/a new folder"
expect 'only the damaged file is downloaded' [ "$(requests)" -eq 1 ]

run amazonaws '' "$work/second"
expect 'the second mirror serves where the first does not answer' has_all "$work/second"
expect 'it counts as success' [ "$status" -eq 0 ]

run '' amazonaws "$work/third"
expect 'the second mirror serves where the first has something else' has_all "$work/third"
expect 'a wrong sum is reported' grep -q 'has the wrong SHA-256' "$work/output"

run googleapis amazonaws "$work/none"
expect 'no right file is a failure' [ "$status" -eq 1 ]
expect 'the file that failed is named' grep -q 'no mirror has a right train-images-idx3-ubyte.gz' "$work/output"
expect 'a failure leaves nothing behind' [ -z "$(find "$work/none" -mindepth 1)" ]

run '' '' --help
expect '--help explains the use' grep -q '^usage: ' "$work/output"
run '' '' --nonsense
expect 'an unknown option is refused' [ "$status" -eq 2 ]
