#!/usr/bin/env bash
# All checks, in the order in which they fail fastest. Needs Rust; cargo fetches the rest.
set -euo pipefail
cd "$(dirname "$0")"
# Random tests are the same on every run here; unset it to search for new cases.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED-20250801}"
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
if command -v cargo-deny > /dev/null; then
    cargo deny --log-level error check licenses bans sources
else
    # It is not fetched, since it takes minutes to build: `cargo install cargo-deny --locked`.
    echo "test.sh: cargo-deny is not installed: licences, bans and sources are not checked" >&2
fi
cargo test --workspace --quiet
