//! Loop IR to CLIF.
//!
//! A scalar becomes one CLIF value (`bool` is an `i8`, a pointer an `i64`). A vector becomes *pieces* of 128 bits: `f32x4`
//! and `i32x4` for 4-byte lanes, `f64x2` and `i64x2` for 8-byte lanes, and for `bool` lanes `i32x4` masks of all ones or
//! all zeros whatever they came from. A splat's pieces are all the same CLIF value, so it costs one register.
//! Variables become cranelift-frontend variables, one per piece, which turns them into block parameters.

mod control;
mod convert;
mod lanes;
mod lanewise;
mod memory;
mod shuffle;

use cranelift_codegen::ir::{self, AbiParam, InstBuilder, MemFlagsData, Signature, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use weft_ir::loops::{Const, Elem, Kernel, Op, Ty, Value};

use crate::library::Import;
pub(crate) use lanes::Lanes;
pub(crate) use lanewise::import_type;

/// Gives the CLIF reference of a library function in the function under construction.
pub(crate) type Importer<'a> = dyn FnMut(Import, &mut ir::Function) -> Result<ir::FuncRef, String> + 'a;

/// Signature of a kernel's entry: argument table, dimension table, first task, end of tasks, scratch.
pub(crate) fn entry_signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params = (0..5).map(|_| AbiParam::new(types::I64)).collect();
    signature
}

/// Fills `function` with the code of a verified kernel.
pub(crate) fn emit(
    kernel: &Kernel,
    function: &mut ir::Function,
    isa: &dyn TargetIsa,
    importer: &mut Importer<'_>,
) -> Result<(), String> {
    let mut context = FunctionBuilderContext::new();
    let builder = FunctionBuilder::new(function, &mut context);
    let mut emitter = Emitter {
        kernel,
        fb: builder,
        values: vec![None; kernel.values.len()],
        vars: Vec::new(),
        ints: FxHashMap::default(),
        imports: FxHashMap::default(),
        importer,
        has_blend: isa.triple().architecture.to_string() == "x86_64",
    };
    emitter.prologue()?;
    emitter.block(&kernel.body)?;
    emitter.fb.ins().return_(&[]);
    emitter.fb.seal_all_blocks();
    emitter.fb.finalize(isa.frontend_config());
    Ok(())
}

struct Emitter<'a, 'f> {
    kernel: &'a Kernel,
    fb: FunctionBuilder<'f>,
    values: Vec<Option<Lanes>>,
    vars: Vec<SmallVec<[Variable; 4]>>,
    /// Values that are integer constants, for loops with constant trip counts.
    ints: FxHashMap<Value, i64>,
    imports: FxHashMap<Import, ir::FuncRef>,
    importer: &'a mut Importer<'a>,
    /// Has the machine an instruction that chooses lanes by the top bits of a mask?
    has_blend: bool,
}

type Emit<T> = Result<T, String>;

impl Emitter<'_, '_> {
    /// Entry block: tables to pointers and dimensions, addresses of scratch arrays, declarations of variables.
    fn prologue(&mut self) -> Emit<()> {
        let entry = self.fb.create_block();
        self.fb.append_block_params_for_function_params(entry);
        self.fb.switch_to_block(entry);
        let params: SmallVec<[ir::Value; 5]> = self.fb.block_params(entry).iter().copied().collect();
        let [args, dims, begin, end, scratch] = params[..] else {
            return Err("the entry signature has five parameters".to_owned());
        };
        self.define(self.kernel.begin, Lanes::scalar(begin));
        self.define(self.kernel.end, Lanes::scalar(end));
        for (table, values) in [
            (args, self.kernel.buffers.iter().map(|b| b.value).collect::<Vec<_>>()),
            (dims, self.kernel.dims.iter().map(|d| d.value).collect()),
        ] {
            for (i, value) in values.into_iter().enumerate() {
                let offset = i32::try_from(i * 8).map_err(|_| "too many parameters".to_owned())?;
                // The tables do not change while the kernel runs.
                let flags = MemFlagsData::trusted().with_readonly();
                let loaded = self.fb.ins().load(types::I64, flags, table, offset);
                self.define(value, Lanes::scalar(loaded));
            }
        }
        let (offsets, _) = self.kernel.scratch_layout().ok_or("scratch too large")?;
        for (array, offset) in self.kernel.scratch.iter().zip(offsets) {
            let address = self.offset_bytes(scratch, offset.cast_signed());
            self.define(array.value, Lanes::scalar(address));
        }
        for var in &self.kernel.vars {
            let ty = self.clif_type(var.ty);
            let pieces = (0..lanes::piece_count(var.ty)).map(|_| self.fb.declare_var(ty)).collect();
            self.vars.push(pieces);
        }
        Ok(())
    }

    fn define(&mut self, value: Value, lanes: Lanes) {
        self.values[value.0 as usize] = Some(lanes);
    }

    fn lanes(&self, value: Value) -> Emit<Lanes> {
        self.values[value.0 as usize].clone().ok_or_else(|| format!("{value} has no code yet"))
    }

    fn scalar(&self, value: Value) -> Emit<ir::Value> {
        Ok(self.lanes(value)?.pieces[0])
    }

    fn ty(&self, value: Value) -> Ty {
        self.kernel.values[value.0 as usize]
    }

    /// CLIF type of a scalar, or of one piece of a vector.
    fn clif_type(&self, ty: Ty) -> ir::Type {
        if ty.is_ptr() {
            types::I64
        } else if ty.is_vector() {
            lanes::piece_type(ty.elem())
        } else {
            lanes::scalar_type(ty.elem())
        }
    }

    fn op(&mut self, value: Value, op: &Op) -> Emit<Lanes> {
        let ty = self.ty(value);
        match op {
            Op::Const(c) => {
                if let (Const::Int(n), false) = (c, ty.is_vector()) {
                    self.ints.insert(value, *n);
                }
                Ok(self.constant(ty, *c))
            }
            Op::Get(var) => {
                let vars = self.vars[var.0 as usize].clone();
                let pieces = vars.iter().map(|&v| self.fb.use_var(v)).collect();
                Ok(Lanes { pieces, splat: None })
            }
            Op::Unary(op, a) => self.unary(*op, ty, *a),
            Op::Binary(op, a, b) => self.binary(*op, ty, *a, *b),
            Op::Compare(op, a, b) => self.compare(*op, *a, *b),
            Op::Fma(a, b, c) => {
                let operands = [self.lanes(*a)?, self.lanes(*b)?, self.lanes(*c)?];
                Ok(self.zip(operands, |fb, [a, b, c]| fb.ins().fma(a, b, c)))
            }
            Op::Select(cond, a, b) => self.select(ty, *cond, *a, *b),
            Op::Convert(a) => self.convert(*a, ty),
            Op::Bitcast(a) => {
                let to = self.clif_type(ty);
                let a = self.lanes(*a)?;
                Ok(self.zip([a], |fb, [a]| {
                    if fb.func.dfg.value_type(a) == to { a } else { fb.ins().bitcast(to, MemFlagsData::new(), a) }
                }))
            }
            Op::Splat(a) => {
                let scalar = self.scalar(*a)?;
                Ok(self.splat(scalar, ty))
            }
            Op::Iota => Ok(self.iota(ty)),
            Op::Extract(a, lane) => {
                let (of, a) = (self.ty(*a), self.lanes(*a)?);
                Ok(Lanes::scalar(self.extract(&a, of.elem(), *lane)))
            }
            Op::Insert(a, x, lane) => {
                let (a, x) = (self.lanes(*a)?, self.scalar(*x)?);
                Ok(self.insert(a, ty.elem(), x, *lane))
            }
            Op::Shuffle(a, b, lanes) => {
                let (elem, a, b) = (ty.elem(), self.lanes(*a)?, self.lanes(*b)?);
                Ok(self.shuffle(elem, &a, &b, lanes))
            }
            Op::Reduce(op, a) => self.reduce(*op, *a),
            Op::Advance(p, n) => {
                let place = weft_ir::loops::Place { ptr: *p, index: Some(*n), offset: 0 };
                let (base, _) = self.address(place)?;
                Ok(Lanes::scalar(base))
            }
            Op::Load(reference) => self.load(reference, ty),
            Op::Call(function, args) => self.call(*function, ty, args),
        }
    }

    fn constant(&mut self, ty: Ty, c: Const) -> Lanes {
        let int = |c| match c {
            Const::Bool(b) => i64::from(b),
            Const::Int(n) => n,
            Const::Float(_) => 0,
        };
        let float = |c| if let Const::Float(x) = c { x } else { 0.0 };
        let scalar = match ty.elem() {
            Elem::Bool => self.fb.ins().iconst(types::I8, int(c)),
            // Cranelift wants the constant of a narrow type without sign bits above it.
            Elem::I32 => self.fb.ins().iconst(types::I32, int(c) & 0xffff_ffff),
            Elem::I64 => self.fb.ins().iconst(types::I64, int(c)),
            #[allow(clippy::cast_possible_truncation, reason = "the verifier found the constant representable")]
            Elem::F32 | Elem::Bf16 => self.fb.ins().f32const(float(c) as f32),
            Elem::F64 => self.fb.ins().f64const(float(c)),
        };
        if !ty.is_vector() {
            return Lanes::scalar(scalar);
        }
        #[allow(clippy::cast_possible_truncation, reason = "as above")]
        let bits: SmallVec<[u8; 16]> = match ty.elem() {
            Elem::Bool => smallvec![if int(c) == 0 { 0 } else { 0xff }; 16],
            Elem::I32 => (int(c) as i32).to_le_bytes().repeat(4).into(),
            Elem::F32 | Elem::Bf16 => (float(c) as f32).to_le_bytes().repeat(4).into(),
            Elem::I64 => int(c).to_le_bytes().repeat(2).into(),
            Elem::F64 => float(c).to_le_bytes().repeat(2).into(),
        };
        let piece = self.vector_constant(lanes::piece_type(ty.elem()), &bits);
        Lanes { pieces: smallvec![piece; lanes::piece_count(ty)], splat: Some(scalar) }
    }

    fn vector_constant(&mut self, ty: ir::Type, bytes: &[u8]) -> ir::Value {
        let handle = self.fb.func.dfg.constants.insert(bytes.to_vec().into());
        self.fb.ins().vconst(ty, handle)
    }
}
