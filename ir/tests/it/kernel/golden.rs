//! Golden tensors: inputs, outputs and sizes of small cases in f64.

use std::collections::HashMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use weft_ir::kernel::interp::Tensor;

/// A golden file.
pub(crate) struct Golden {
    tensors: HashMap<String, Tensor>,
    sizes: serde_json::Value,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Golden {
    pub(crate) fn read(name: &str) -> Self {
        let bytes = std::fs::read(root().join("tests/golden").join(format!("{name}.safetensors"))).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let sizes = header.metadata().as_ref().and_then(|m| m.get("sizes")).expect("sizes");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut tensors = HashMap::new();
        for (name, view) in file.tensors() {
            let eight = view.data().chunks_exact(8).map(|c| <[u8; 8]>::try_from(c).unwrap());
            let data: Vec<f64> = match view.dtype() {
                Dtype::F64 => eight.map(f64::from_le_bytes).collect(),
                Dtype::I64 => eight.map(|b| i64::from_le_bytes(b) as f64).collect(),
                other => panic!("{name} is {other:?}"),
            };
            tensors.insert(name, Tensor { shape: view.shape().to_vec(), data });
        }
        Self { tensors, sizes: serde_json::from_str(sizes).unwrap() }
    }
    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }
    pub(crate) fn size(&self, name: &str) -> usize {
        self.sizes[name].as_u64().unwrap_or_else(|| panic!("no size {name}")) as usize
    }
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.sizes[name].as_f64().unwrap()
    }
}

/// The tensor made of `f` at every index.
pub(crate) fn tensor(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Tensor {
    let size = shape.iter().product();
    let mut index = vec![0; shape.len()];
    let mut data = Vec::with_capacity(size);
    for _ in 0..size {
        data.push(f(&index));
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
        }
    }
    Tensor { shape: shape.to_vec(), data }
}

/// Element access by index.
pub(crate) trait At {
    fn at(&self, index: &[usize]) -> f64;
}

impl At for Tensor {
    fn at(&self, index: &[usize]) -> f64 {
        assert_eq!(index.len(), self.shape.len());
        let offset = index.iter().zip(&self.shape).fold(0, |o, (i, n)| {
            assert!(i < n, "{index:?} in {:?}", self.shape);
            o * n + i
        });
        self.data[offset]
    }
}

/// The first `t` elements along dimension 1 of every tensor of rank 2 or more.
pub(crate) fn first_tokens(x: &Tensor, t: usize) -> Tensor {
    let mut shape = x.shape.clone();
    shape[1] = t;
    tensor(&shape, |i| x.at(i))
}
