# Source this, then `cargo build --release --target wasm32-unknown-unknown` writes a component.
#
# Debian's rustc-web compiles its own standard library once, offline, from rust-web-src; rustup's cargo and linker do
# the rest. It is used even where rustup has the wasm target, because a checked-in artifact is to come out the same
# everywhere. WASM_TOOLCHAIN=rustup takes rustup's compiler instead, for translators that are not checked in.
target=wasm32-unknown-unknown
prefix=CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN
sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')
tools=$sysroot/lib/rustlib/$host/bin
if [ ! -x "$tools/wasm-component-ld" ]; then
  echo "wasm-env: no wasm-component-ld in $tools: a rustup toolchain of 1.82 or newer is needed" >&2
  return 1
fi
export ${prefix}_LINKER="$tools/wasm-component-ld"

if [ "${WASM_TOOLCHAIN:-}" = rustup ]; then
  if ! ls "$sysroot/lib/rustlib/$target"/lib/libstd-*.rlib >/dev/null 2>&1; then
    echo "wasm-env: rustup has no target $target: rustup target add $target" >&2
    return 1
  fi
else
  debian=/usr/bin/rustc
  source=/usr/lib/rustlib/src/rust/library
  if [ ! -x $debian ] || [ ! -d $source ]; then
    echo "wasm-env: installing Debian's rustc-web and rust-web-src" >&2
    as_root=; [ "$(id -u)" = 0 ] || as_root="sudo -n"
    $as_root apt-get update -qq >&2 &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rustc-web rust-web-src >/dev/null || {
      echo "wasm-env: rustc-web and rust-web-src could not be installed" >&2
      return 1
    }
  fi
  version=$($debian --version | cut -d' ' -f2)
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/wasm-sysroot-$version
  if ! ls "$cache/lib/rustlib/$target"/lib/libstd-*.rlib >/dev/null 2>&1; then
    echo "wasm-env: building the standard library of rustc $version once" >&2
    work=$(mktemp -d)
    mkdir "$work/src" && : >"$work/src/lib.rs"
    printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2024"\n[profile.release]\nopt-level = 3\ncodegen-units = 1\npanic = "abort"\n[workspace]\n' >"$work/Cargo.toml"
    (
      cd "$work" || exit 1
      env ${prefix}_LINKER="$tools/rust-lld" CARGO_HOME="$work/home" RUSTC=$debian RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$work=/seed" CARGO_TARGET_DIR="$work/target" \
        cargo build -q --offline --release --target $target -Zbuild-std=std,panic_abort \
        --config 'source.crates-io.replace-with="vendored"' --config "source.vendored.directory=\"$source/vendor\""
    ) >&2 || { echo "wasm-env: the standard library could not be built" >&2; return 1; }
    libraries=$cache/lib/rustlib/$target/lib
    mkdir -p "$libraries.new.$$"
    cp "$work/target/$target"/release/deps/*.rlib "$libraries.new.$$/" && rm -f "$libraries.new.$$"/libseed*
    rm -rf "$libraries" && mv "$libraries.new.$$" "$libraries"
    rm -rf "$work"
  fi
  export RUSTC=$debian
  export ${prefix}_RUSTFLAGS="--sysroot=$cache -Clink-arg=--wasm-ld-path=$tools/gcc-ld/wasm-ld"
fi
