//! Loop IR to native code by Cranelift, the embedded default backend.
