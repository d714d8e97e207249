#!/usr/bin/env bash
# Proves that tenon can be used from outside: run.sh KIND SOURCE BUILD CXX, where BUILD is a finished build of tenon.
#   find_package | find_package_torch | pkg_config   against an install into a fresh folder
#   add_subdirectory                                  against the sources
set -euo pipefail
kind=$1 source=$2 build=$3 cxx=$4
folder=$build/consumers/$kind # kept: a second run compiles what has changed
mkdir -p "$folder"
rm -rf "$folder/prefix" "$folder/consumer"

case $kind in
  # With the flags that tenon's own build has, so that ccache has seen every file.
  add_subdirectory) options=(-DTENON_SOURCE="$source" -DTENON_WERROR=ON -DTENON_TORCH=OFF) ;;
  *)
    cmake --install "$build" --prefix "$folder/prefix" >/dev/null
    options=(-DCMAKE_PREFIX_PATH="$folder/prefix")
    ;;
esac
if [ "$kind" = pkg_config ]; then
  export PKG_CONFIG_PATH
  PKG_CONFIG_PATH=$(dirname "$(find "$folder/prefix" -name tenon.pc)")
  # shellcheck disable=SC2046
  "$cxx" -std=c++20 "$source/tests/consumers/main.cpp" -o "$folder/consumer" $(pkg-config --cflags --libs --static tenon)
else
  cmake -S "$source/tests/consumers/$kind" -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" "${options[@]}" >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  cmake --build "$folder/build" --target consumer >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  mv "$folder/build/consumer" "$folder/consumer"
fi
cd "$folder"
./consumer
