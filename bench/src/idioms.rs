//! What single constructs of loop IR cost: each in a loop over data in L1, in nanoseconds per execution.

use weft_ir::loops::{
    Access, Binary, Compare, Elem, Extent, Function, Kernel, KernelBuilder, Pattern, Place, Reduction, Reference, Ty,
    Unroll, Value, VerifyError,
};

/// Elements of the input.
pub const LEN: usize = 1024;

/// What the construct under measurement sees: the builder, the input's pointer, the index of the iteration's eight
/// elements, and these elements. It gives eight floats, which are added up.
type Construct = fn(&mut KernelBuilder, Value, Value, Value) -> Value;

/// The constructs, by name. The first does nothing: it is the cost of the loop, which the others contain.
pub const CONSTRUCTS: &[(&str, Construct)] = &[
    ("load of 8, sum into a variable", |_, _, _, x| x),
    ("max of 8", |b, _, _, x| {
        let one = b.float(1.0);
        b.max(x, one)
    }),
    ("compare and select of 8", |b, _, _, x| {
        let one = b.float(1.0);
        let c = b.compare(Compare::Ge, x, one);
        b.select(c, x, one)
    }),
    ("exp2 of 8", |b, _, _, x| b.call(Function::Exp2, &[x])),
    ("exp of 8", |b, _, _, x| b.call(Function::Exp, &[x])),
    ("log of 8", |b, _, _, x| b.call(Function::Log, &[x])),
    ("sin of 8 (library)", |b, _, _, x| b.call(Function::Sin, &[x])),
    ("division of 8", |b, _, _, x| {
        let one = b.float(1.0);
        b.div(one, x)
    }),
    ("sum of 8 lanes, splat", |b, _, _, x| {
        let sum = b.reduce(Reduction::Add, x);
        b.splat(sum, 8)
    }),
    ("splat load", |b, p, i, _| {
        let place = b.at(p, i).plus(3);
        b.load_splat(place, 8)
    }),
    ("strided load of 8, constant stride", |b, p, i, _| {
        let stride = b.int(16);
        load(b, p, i, Pattern::Strided(stride), None)
    }),
    ("indexed load of 8", |b, p, i, _| {
        let lane = b.iota(8);
        let three = b.int32(3);
        let indices = b.binary(Binary::Xor, lane, three);
        load(b, p, i, Pattern::Indexed(indices), None)
    }),
    ("masked load of 8, all on", |b, p, i, x| {
        let low = b.float(-1e30);
        let mask = b.compare(Compare::Gt, x, low);
        load(b, p, i, Pattern::Contiguous, Some(mask))
    }),
    ("masked load of 8, half on", |b, p, i, _| {
        let lane = b.iota(8);
        let four = b.int32(4);
        let mask = b.compare(Compare::Lt, lane, four);
        load(b, p, i, Pattern::Contiguous, Some(mask))
    }),
    ("transposing load of 8 x 4", |b, p, i, _| {
        let stride = b.int(16);
        let place = b.at(p, i);
        let [x, y, z, w] = b.load_block(place, stride, 8);
        let (x, z) = (b.add(x, y), b.add(z, w));
        b.add(x, z)
    }),
    ("index // 7 and index % 7", |b, _, i, x| {
        let seven = b.int(7);
        let (q, r) = (b.binary(Binary::DivFloor, i, seven), b.binary(Binary::ModFloor, i, seven));
        scaled(b, q, r, x)
    }),
    ("index // 8 and index % 8", |b, _, i, x| {
        let eight = b.int(8);
        let (q, r) = (b.binary(Binary::DivFloor, i, eight), b.binary(Binary::ModFloor, i, eight));
        scaled(b, q, r, x)
    }),
];

fn scaled(b: &mut KernelBuilder, q: Value, r: Value, x: Value) -> Value {
    let n = b.add(q, r);
    let n = b.convert(n, Elem::F32);
    b.add(x, n)
}

fn load(b: &mut KernelBuilder, ptr: Value, index: Value, pattern: Pattern, mask: Option<Value>) -> Value {
    let place: Place = b.at(ptr, index);
    b.load_as(Reference { place, pattern, mask }, 8)
}

/// Number of executions of the construct in one task.
pub const ITERATIONS: i64 = 100;

/// A kernel whose tasks run a construct [`ITERATIONS`] times.
///
/// # Errors
/// The verifier's, for a construct that is wrong.
pub fn kernel(construct: Construct) -> Result<Kernel, VerifyError> {
    let mut b = KernelBuilder::new("idiom");
    let x = b.buffer("x", Elem::F32, Access::Read, &[Extent::Const(LEN as u64)]);
    let y = b.buffer("y", Elem::F32, Access::Write, &[Extent::Const(8)]);
    b.for_tasks(|b, _| {
        let zeros = b.zero(Ty::vector(Elem::F32, 8));
        let sum = b.var("sum", zeros);
        let (zero, end) = (b.int(0), b.int(ITERATIONS * 8));
        b.for_range(zero, end, 8, Unroll::No, |b, i| {
            let place = b.at(x, i);
            let v = b.load(place, 8);
            let v = construct(b, x, i, v);
            let so_far = b.get(sum);
            let so_far = b.add(so_far, v);
            b.set(sum, so_far);
        });
        let total = b.get(sum);
        b.store(KernelBuilder::at_const(y, 0), total);
    });
    b.finish()
}
