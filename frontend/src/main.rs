//! The command line `weft`; everything is in the library.

fn main() -> std::process::ExitCode {
    weft::cli::main()
}
