#!/bin/sh
# installed_library_test.sh BUILD_ROOT PREFIX PKG_CONFIG_FOLDER PROGRAM COMPILER...
# Installs into a scratch folder, then builds PROGRAM with what pkg-config says, and runs it.
set -eu
build=$1 prefix=$2 folder=$3 program=$4
shift 4

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
meson install -C "$build" --no-rebuild --quiet --destdir "$scratch"

export PKG_CONFIG_PATH="$scratch$prefix/$folder${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
ask() { pkg-config --define-variable="prefix=$scratch$prefix" "$@"; }
libraries=$(ask --variable=libdir cotape)
# Flags are words by intent.
# shellcheck disable=SC2046
"$@" -std=c++20 $(ask --cflags cotape) "$program" $(ask --libs cotape) -o "$scratch/program"
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$scratch/program"
