//! The hand-written kernels compute what they should, in the interpreter and as machine code.

mod gradient;

use weft_bench::dot::Shape;
use weft_bench::{attention, matmul, timing};
use weft_ir::loops::{Array, interpret, parse};
use weft_runtime::{Memory, Pool};

fn shapes() -> [Shape; 3] {
    [(4, 2, 4), (2, 4, 1), (4, 1, 2)].map(|(rows, vectors, unroll)| Shape { rows, vectors, unroll })
}

#[test]
fn attention_is_attention() {
    let (heads, length, head) = (2usize, 96usize, 16usize);
    let size = heads * length * head;
    let (q, k, v) = (timing::noise(size, 1), timing::noise(size, 2), timing::noise(size, 3));
    let rows: Vec<(usize, usize)> = (0..heads).flat_map(|h| (0..length).map(move |t| (h, t))).collect();
    let exact = attention::reference(&q, &k, &v, length, head, &rows);
    for shape in shapes() {
        let panels = 48 / i64::from(shape.lanes());
        let blocks = attention::Blocks { shape, panels, keys: 32, head: 16 };
        let kernel = attention::kernel(blocks).unwrap();
        assert_eq!(parse(&kernel.to_string()).unwrap(), kernel);
        let tasks = (heads * length) as u64 / 48;
        let dims = [heads as i64, length as i64];

        let mut args = [&q, &k, &v].map(|x| Array::F32(x.clone())).to_vec();
        args.push(Array::F32(vec![f32::NAN; size]));
        interpret(&kernel, &mut args, &dims, 0..tasks as i64, 20_000_000).unwrap();
        let Some(Array::F32(interpreted)) = args.pop() else { panic!("the output is f32") };

        let mut o = vec![f32::NAN; size];
        let mut memory = Memory::new();
        let regions =
            [memory.lend(&q), memory.lend(&k), memory.lend(&v), memory.lend_mut(&mut o)].map(|id| memory.whole(id));
        let code = weft_cranelift::compile(&kernel).unwrap();
        Pool::new(2).unwrap().launch(&code, &mut memory, &regions, &dims, tasks).unwrap();
        drop(memory);
        for ((machine, interpreted), exact) in o.iter().zip(interpreted).zip(&exact) {
            assert!((f64::from(*machine) - exact).abs() < 2e-6, "{shape:?}: {machine} and {exact}");
            assert!((f64::from(interpreted) - exact).abs() < 2e-6, "{shape:?}: {interpreted} and {exact}");
        }
    }
}

#[test]
fn matmul_is_matmul() {
    let (m, n, depth) = (32usize, 64usize, 19usize);
    let (a, b) = (timing::noise(m * depth, 1), timing::noise(depth * n, 2));
    for shape in shapes() {
        let blocks = matmul::Blocks { shape, rows: 16, columns: 32, depth: depth as i64 };
        let code = weft_cranelift::compile(&matmul::kernel(blocks).unwrap()).unwrap();
        let mut c = vec![f32::NAN; m * n];
        let mut memory = Memory::new();
        let args = [memory.lend(&a), memory.lend(&b), memory.lend_mut(&mut c)].map(|id| memory.whole(id));
        Pool::new(2).unwrap().launch(&code, &mut memory, &args, &[m as i64, n as i64], 4).unwrap();
        drop(memory);
        for i in 0..m {
            for j in 0..n {
                let exact: f64 = (0..depth).map(|r| f64::from(a[i * depth + r]) * f64::from(b[r * n + j])).sum();
                assert!((f64::from(c[i * n + j]) - exact).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn blocks_that_do_not_divide_are_refused() {
    let shape = Shape { rows: 5, vectors: 2, unroll: 1 };
    assert!(attention::kernel(attention::Blocks { shape, panels: 8, keys: 64, head: 64 }).is_err());
    assert!(matmul::kernel(matmul::Blocks { shape, rows: 64, columns: 64, depth: 64 }).is_err());
}
