//! What this machine can do, found at run time.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

use crate::error::CompileError;

/// Features of x86-64 without which Cranelift would call library functions in inner loops.
const NEEDED_X86: [&str; 4] = ["has_sse41", "has_avx", "has_avx2", "has_fma"];

/// The code generator for this machine.
///
/// # Errors
/// The architecture has no Cranelift backend, or lacks vector or FMA instructions.
pub(crate) fn isa() -> Result<OwnedTargetIsa, CompileError> {
    let builder = cranelift_native::builder().map_err(|m| CompileError::Unsupported(m.to_owned()))?;
    configured(builder)
}

/// The code generator for x86-64 with the features that are needed and no others, whatever this machine has: for texts that must be
/// the same everywhere.
///
/// # Errors
/// This build of Cranelift has no x86-64.
pub(crate) fn least_x86() -> Result<OwnedTargetIsa, CompileError> {
    let unsupported = |e: &dyn std::fmt::Display| CompileError::Unsupported(e.to_string());
    let mut builder =
        cranelift_codegen::isa::lookup_by_name("x86_64-unknown-linux-gnu").map_err(|e| unsupported(&e))?;
    for feature in NEEDED_X86.into_iter().chain(["has_sse3", "has_ssse3", "has_sse42"]) {
        builder.enable(feature).map_err(|e| unsupported(&e))?;
    }
    configured(builder)
}

fn configured(builder: cranelift_codegen::isa::Builder) -> Result<OwnedTargetIsa, CompileError> {
    let unsupported = |message: String| CompileError::Unsupported(message);
    let mut flags = settings::builder();
    for (name, value) in [
        // Cranelift's mid-end keeps loads in place but moves pure operations down to their last possible point. In an
        // unrolled product that is the end of the block: all loads first, then all multiplications, and the
        // accumulators spill. Loop IR is already in the order that its maker chose, so that is kept.
        ("opt_level", "none"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        // Kernels neither unwind nor overflow the stack: frames are small and calls are leaves.
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("log2_min_function_alignment", "6"),
    ] {
        flags.set(name, value).map_err(|e| unsupported(e.to_string()))?;
    }
    let isa = builder.finish(settings::Flags::new(flags)).map_err(|e| unsupported(e.to_string()))?;
    if isa.triple().architecture.to_string() == "x86_64" {
        let has = |name: &str| isa.isa_flags().iter().any(|flag| flag.name == name && flag.as_bool() == Some(true));
        let missing: Vec<&str> = NEEDED_X86.iter().filter(|n| !has(n)).map(|n| n.trim_start_matches("has_")).collect();
        if !missing.is_empty() {
            return Err(CompileError::MissingFeature { missing: missing.join(", ") });
        }
    }
    Ok(isa)
}

/// One line that describes the code generator: architecture and the vector features in use.
///
/// # Errors
/// As for compilation.
pub fn describe_host() -> Result<String, CompileError> {
    let isa = isa()?;
    let on = |flag: &settings::Value| flag.as_bool() == Some(true) && flag.name.starts_with("has_");
    let features: Vec<String> = isa
        .isa_flags()
        .iter()
        .filter(|flag| on(flag))
        .map(|flag| flag.name.trim_start_matches("has_").to_owned())
        .collect();
    Ok(format!("{}, 128-bit vectors, {}", isa.triple(), features.join(" ")))
}
