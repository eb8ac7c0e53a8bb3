//! From CLIF to callable code.
//!
//! The one `unsafe` place of the crate: the address of finished code becomes a function pointer, and the memory of code that no
//! kernel needs any more is freed. A kernel owns its code, and whoever launches it holds the kernel, so no function pointer
//! can dangle.
#![allow(unsafe_code, reason = "the address of generated code becomes a function pointer")]

use std::sync::{Arc, Mutex, PoisonError};

use cranelift_codegen::Context;
use cranelift_codegen::ir::{self, AbiParam, Signature};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use rustc_hash::FxHashMap;
use weft_ir::loops::{self, Elem};
use weft_runtime::{Access, BufferSpec, Entry, Extent, Kernel, KernelSpec};

use crate::emit::{emit, entry_signature, import_type};
use crate::error::CompileError;
use crate::library::Import;

/// Generated code of one kernel, not yet placed in executable memory.
struct Draft {
    module: JITModule,
    context: Context,
    id: FuncId,
}

/// The memory of finished code. (A module may move between threads, but not be looked at by two: hence the lock.)
struct Code(Mutex<Option<JITModule>>);

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            // SAFETY: the only pointer into the module is the entry of the kernels that own this; the last of them is being
            // dropped, and a launch borrows the kernel until all workers are done.
            unsafe { module.free_memory() };
        }
    }
}

fn refused(kernel: &loops::Kernel, error: &dyn std::fmt::Display) -> CompileError {
    CompileError::Codegen { kernel: kernel.name.clone(), message: error.to_string() }
}

fn draft(kernel: &loops::Kernel, isa: OwnedTargetIsa) -> Result<Draft, CompileError> {
    let mut builder = JITBuilder::with_isa(isa.clone(), default_libcall_names());
    for import in Import::all() {
        builder.symbol(import.symbol(), import.address());
    }
    let mut module = JITModule::new(builder);
    let signature = entry_signature(isa.as_ref());
    let id = module.declare_function(&kernel.name, Linkage::Export, &signature).map_err(|e| refused(kernel, &e))?;
    let mut context = module.make_context();
    context.func.signature = signature;
    let mut declared: FxHashMap<Import, FuncId> = FxHashMap::default();
    let mut importer = |import: Import, function: &mut ir::Function| -> Result<ir::FuncRef, String> {
        let callee = match declared.get(&import) {
            Some(&callee) => callee,
            None => {
                let signature = import_signature(import, isa.as_ref());
                let callee =
                    module.declare_function(import.symbol(), Linkage::Import, &signature).map_err(|e| e.to_string())?;
                declared.insert(import, callee);
                callee
            }
        };
        Ok(module.declare_func_in_func(callee, function))
    };
    emit(kernel, &mut context.func, isa.as_ref(), &mut importer).map_err(|e| refused(kernel, &e))?;
    Ok(Draft { module, context, id })
}

fn import_signature(import: Import, isa: &dyn TargetIsa) -> Signature {
    let ty = import_type(import);
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params = vec![AbiParam::new(ty); import.function.arity()];
    signature.returns.push(AbiParam::new(ty));
    signature
}

/// Text of the CLIF that the backend makes of a legalised kernel, before Cranelift's optimiser.
pub(crate) fn clif(kernel: &loops::Kernel, isa: OwnedTargetIsa) -> Result<String, CompileError> {
    Ok(draft(kernel, isa)?.context.func.display().to_string())
}

/// Cranelift's listing of the machine code.
pub(crate) fn assembly(kernel: &loops::Kernel, isa: OwnedTargetIsa) -> Result<String, CompileError> {
    let mut draft = draft(kernel, isa.clone())?;
    draft.context.set_disasm(true);
    let code = draft
        .context
        .compile(isa.as_ref(), &mut Default::default())
        .map_err(|e| CompileError::Codegen { kernel: kernel.name.clone(), message: format!("{:?}", e.inner) })?;
    Ok(code.vcode.clone().unwrap_or_default())
}

/// Executable code of a legalised, verified kernel, and its size in bytes.
pub(crate) fn compile(kernel: &loops::Kernel, isa: OwnedTargetIsa) -> Result<(Kernel, usize), CompileError> {
    let Draft { mut module, mut context, id } = draft(kernel, isa)?;
    module.define_function(id, &mut context).map_err(|e| refused(kernel, &format!("{e:?}")))?;
    module.finalize_definitions().map_err(|e| refused(kernel, &e))?;
    let bytes = context.compiled_code().map_or(0, |c| c.code_buffer().len());
    let address = module.get_finalized_function(id);
    let code = Arc::new(Code(Mutex::new(Some(module))));
    // SAFETY: the code was generated with `entry_signature`, which is the signature of `Entry` (five 64-bit arguments in
    // the platform's C convention), and the module's memory lives as long as the kernel, which owns `code`.
    let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
    let (_, scratch_bytes) = kernel.scratch_layout().ok_or_else(|| refused(kernel, &"scratch too large"))?;
    let spec = KernelSpec {
        name: kernel.name.clone(),
        buffers: kernel.buffers.iter().map(buffer_spec).collect(),
        dims: kernel.dims.iter().map(|d| d.name.clone()).collect(),
        scratch_bytes,
    };
    // SAFETY: this is the contract of loop IR: the pass that made the kernel keeps accesses within the declared extents
    // and tasks disjoint; scratch accesses are within the arrays that make up `scratch_bytes`.
    Ok((unsafe { Kernel::new(entry, spec, code) }, bytes))
}

fn buffer_spec(buffer: &loops::Buffer) -> BufferSpec {
    BufferSpec {
        name: buffer.name.clone(),
        elem_bytes: Elem::bytes(buffer.elem),
        access: match buffer.access {
            loops::Access::Read => Access::Read,
            loops::Access::Write => Access::Write,
        },
        extents: buffer
            .extents
            .iter()
            .map(|extent| match extent {
                loops::Extent::Const(n) => Extent::Const(*n),
                loops::Extent::Dim(d) => Extent::Dim(*d as usize),
            })
            .collect(),
    }
}
