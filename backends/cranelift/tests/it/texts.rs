//! What the backend emits for a small kernel, and that inner loops get the instructions they are meant to get.

use weft_ir::loops::{Access, Elem, Extent, Kernel, KernelBuilder, Ty, Unroll};

/// `c[0..8] = sum over r of a[r] * b[r][0..8]`, and the maximum of the products.
fn product() -> Kernel {
    let mut b = KernelBuilder::new("product");
    let n = b.dim("n");
    let size = KernelBuilder::dim_extent(0);
    let a = b.buffer("a", Elem::F32, Access::Read, &[size]);
    let rows = b.buffer("b", Elem::F32, Access::Read, &[size, Extent::Const(8)]);
    let c = b.buffer("c", Elem::F32, Access::Write, &[Extent::Const(16)]);
    b.for_tasks(|b, _| {
        let zeros = b.zero(Ty::vector(Elem::F32, 8));
        let (sum, max) = (b.var("sum", zeros), b.var("max", zeros));
        let zero = b.int(0);
        b.for_range(zero, n, 1, Unroll::No, |b, r| {
            let place = b.at(a, r);
            let x = b.load_splat(place, 8);
            let at = b.mul_int(r, 8);
            let place = b.at(rows, at);
            let row = b.load(place, 8);
            let s = b.get(sum);
            let s = b.fma(x, row, s);
            b.set(sum, s);
            let m = b.get(max);
            let m = b.max(m, s);
            b.set(max, m);
        });
        for (i, var) in [(0, sum), (8, max)] {
            let x = b.get(var);
            let place = KernelBuilder::at_const(c, i);
            b.store(place, x);
        }
    });
    b.finish().unwrap()
}

#[test]
fn clif_of_a_product() {
    insta::assert_snapshot!(weft_cranelift::clif(&product()).unwrap());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn inner_loops_get_vector_instructions() {
    let code = weft_cranelift::assembly(&product()).unwrap();
    for instruction in ["vfmadd213ps", "vbroadcastss", "vmaxps"] {
        assert!(code.contains(instruction), "no {instruction} in\n{code}");
    }
    assert!(!code.contains("call"), "a library call in\n{code}");
}

#[test]
fn the_host_is_described() {
    assert!(weft_cranelift::describe_host().unwrap().contains("128-bit vectors"));
}
