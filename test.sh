#!/usr/bin/env bash
# All checks, in the order in which they fail fastest. Needs Rust; installs nothing else.
set -euo pipefail
cd "$(dirname "$0")"
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo test --workspace --quiet
