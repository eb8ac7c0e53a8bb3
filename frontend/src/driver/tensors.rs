//! Tensor files: the safetensors format, with conversion of element types.

use std::collections::HashMap;

use indexmap::IndexMap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::fault::Fault;
use crate::diagnostics::codes;
use crate::sema::Number;
use weft_ir::DType;
use weft_ir::eval::{Elements, Tensor};
use weft_ir::loops::to_bf16;

/// The contents of a tensor file. Floats of all widths are float64 here, integers 64-bit; both conversions are exact.
#[derive(Clone, Default, Debug)]
pub struct TensorFile {
    /// What messages call it.
    pub name: String,
    /// Tensors by name, in the order of names.
    pub tensors: IndexMap<String, Tensor>,
    /// The name of the layer that the file is for, if it says so.
    pub layer: Option<String>,
    /// Sizes and constants that the file records.
    pub sizes: Vec<(String, Number)>,
}

impl TensorFile {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// E0511 if they are not a tensor file or a tensor has a type that Weft lacks; E0517 if the metadata cannot be understood.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Fault> {
        let broken =
            |e: &dyn std::fmt::Display| Fault::user(codes::E0511, format!("{name} is not a safetensors file: {e}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
        let mut tensors = IndexMap::new();
        for (tensor, view) in file.iter() {
            let data = elements(&view).ok_or_else(|| {
                let what = format!("{name}: tensor `{tensor}` has elements of type {:?}", view.dtype());
                Fault::user(codes::E0511, what).hint("Weft reads BOOL, I8 to I64, U8 to U32, BF16, F16, F32 and F64")
            })?;
            tensors.insert(tensor.to_owned(), Tensor { shape: view.shape().to_vec(), data });
        }
        tensors.sort_unstable_keys();
        let metadata = header.metadata().clone().unwrap_or_default();
        let sizes = metadata.get("sizes").map(|text| parse_sizes(name, text)).transpose()?.unwrap_or_default();
        Ok(Self { name: name.to_owned(), tensors, layer: metadata.get("layer").cloned(), sizes })
    }

    /// The tensors whose names start with `prefix`, without it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> IndexMap<String, Tensor> {
        let strip = |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()));
        self.tensors.iter().filter_map(strip).collect()
    }
}

fn parse_sizes(file: &str, text: &str) -> Result<Vec<(String, Number)>, Fault> {
    let broken = |what: &str| Fault::user(codes::E0517, format!("{file}: the metadata `sizes` {what}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| broken(&format!("is not JSON: {e}")))?;
    let object = value.as_object().ok_or_else(|| broken("is not a JSON object"))?;
    let number = |(name, v): (&String, &serde_json::Value)| {
        let number = v.as_i64().map(Number::Int).or_else(|| v.as_f64().map(Number::Real));
        number.map(|n| (name.clone(), n)).ok_or_else(|| broken(&format!("gives `{name}` the value {v}")))
    };
    object.iter().map(number).collect()
}

/// The elements in the widest type of their class; `None` for types that have none.
fn elements(view: &TensorView<'_>) -> Option<Elements> {
    let data = view.data();
    macro_rules! words {
        ($ty:ty, $n:literal) => {
            data.chunks_exact($n).filter_map(|c| <[u8; $n]>::try_from(c).ok()).map(<$ty>::from_le_bytes)
        };
    }
    Some(match view.dtype() {
        Dtype::BOOL => Elements::Bool(data.iter().map(|&b| b != 0).collect()),
        Dtype::I8 => Elements::I64(words!(i8, 1).map(i64::from).collect()),
        Dtype::U8 => Elements::I64(data.iter().copied().map(i64::from).collect()),
        Dtype::I16 => Elements::I64(words!(i16, 2).map(i64::from).collect()),
        Dtype::U16 => Elements::I64(words!(u16, 2).map(i64::from).collect()),
        Dtype::I32 => Elements::I64(words!(i32, 4).map(i64::from).collect()),
        Dtype::U32 => Elements::I64(words!(u32, 4).map(i64::from).collect()),
        Dtype::I64 => Elements::I64(words!(i64, 8).collect()),
        Dtype::BF16 => Elements::F64(words!(u16, 2).map(from_bf16).collect()),
        Dtype::F16 => Elements::F64(words!(u16, 2).map(from_f16).collect()),
        Dtype::F32 => Elements::F64(words!(f32, 4).map(f64::from).collect()),
        Dtype::F64 => Elements::F64(words!(f64, 8).collect()),
        _ => return None,
    })
}

pub(crate) fn from_bf16(bits: u16) -> f64 {
    f64::from(weft_ir::loops::from_bf16(bits))
}

fn from_f16(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
    }
}

/// The nearest float32, ties to even.
#[allow(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
pub(crate) fn to_f32(x: f64) -> f32 {
    x as f32
}

/// The value after rounding to a type; float64 and integers stay.
#[must_use]
pub fn round_to(dtype: DType, x: f64) -> f64 {
    match dtype {
        DType::F32 => f64::from(to_f32(x)),
        DType::BF16 => from_bf16(to_bf16(to_f32(x))),
        _ => x,
    }
}

/// A tensor that is to be written, and the type of its elements in the file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub tensor: Tensor,
    /// Their type in the file: one of `bool`, `i32`, `i64`, `bf16`, `f32`, `f64`.
    pub dtype: DType,
}

/// The bytes of a tensor file.
///
/// # Errors
/// A bug, if an entry's elements do not fit its shape or type.
pub fn encode(entries: &[Entry], metadata: &[(&str, String)]) -> Result<Vec<u8>, Fault> {
    let bytes = entries.iter().map(bytes_of).collect::<Result<Vec<_>, _>>()?;
    let mut views = Vec::with_capacity(entries.len());
    for (entry, (dtype, bytes)) in entries.iter().zip(&bytes) {
        let view = TensorView::new(*dtype, entry.tensor.shape.clone(), bytes)
            .map_err(|e| Fault::bug(format!("output `{}`: {e}", entry.name)))?;
        views.push((entry.name.clone(), view));
    }
    let metadata: HashMap<String, String> = metadata.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    safetensors::serialize(views, Some(metadata)).map_err(Fault::bug)
}

fn bytes_of(entry: &Entry) -> Result<(Dtype, Vec<u8>), Fault> {
    let refuse = || Fault::bug(format!("output `{}` cannot be written as {}", entry.name, entry.dtype));
    fn flat<T, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(bytes).collect()
    }
    Ok(match (&entry.tensor.data, entry.dtype) {
        (Elements::F64(x), DType::F64) => (Dtype::F64, flat(x, |v| v.to_le_bytes())),
        (Elements::F64(x), DType::F32) => (Dtype::F32, flat(x, |v| to_f32(*v).to_le_bytes())),
        (Elements::F64(x), DType::BF16) => (Dtype::BF16, flat(x, |v| to_bf16(to_f32(*v)).to_le_bytes())),
        (Elements::I64(x), DType::I64) => (Dtype::I64, flat(x, |v| v.to_le_bytes())),
        (Elements::I64(x), DType::I32) => {
            let narrow = x.iter().map(|&v| i32::try_from(v)).collect::<Result<Vec<_>, _>>().map_err(|_| refuse())?;
            (Dtype::I32, flat(&narrow, |v| v.to_le_bytes()))
        }
        (Elements::Bool(x), DType::Bool) => (Dtype::BOOL, x.iter().map(|&b| u8::from(b)).collect()),
        _ => return Err(refuse()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_floats() {
        for (bits, value) in [(0x3c00u16, 1.0), (0xc000, -2.0), (0x0001, 2f64.powi(-24)), (0x7bff, 65504.0)] {
            assert_eq!(from_f16(bits), value);
        }
        assert_eq!(from_f16(0x7c00), f64::INFINITY);
        assert!(from_f16(0x7e00).is_nan());
        for x in [0.0, 1.0, -3.140625, 2f64.powi(-130)] {
            assert_eq!(round_to(DType::BF16, x), x);
        }
        // Halfway between two neighbours: the even one.
        assert_eq!(round_to(DType::BF16, 1.0 + 2f64.powi(-8)), 1.0);
        assert_eq!(round_to(DType::BF16, 1.0 + 3.0 * 2f64.powi(-8)), 1.0 + 2f64.powi(-6));
        assert!(round_to(DType::BF16, f64::NAN).is_nan());
    }

    #[test]
    fn files_come_back() {
        let entries = [
            Entry { name: "y".into(), tensor: Tensor::floats(&[2, 1], vec![0.5, -1.25]), dtype: DType::F32 },
            Entry { name: "z".into(), tensor: Tensor::ints(&[3], vec![1, -2, 3]), dtype: DType::I32 },
            Entry { name: "m".into(), tensor: Tensor::bools(&[], vec![true]), dtype: DType::Bool },
        ];
        let metadata = [("layer", "l".to_owned()), ("sizes", r#"{"E": 4, "GAMMA": 0.5}"#.to_owned())];
        let bytes = encode(&entries, &metadata).unwrap();
        let file = TensorFile::parse("f", &bytes).unwrap();
        for entry in &entries {
            assert_eq!(file.tensors[&entry.name], entry.tensor);
        }
        assert_eq!(file.layer.as_deref(), Some("l"));
        assert_eq!(file.sizes, [("E".to_owned(), Number::Int(4)), ("GAMMA".to_owned(), Number::Real(0.5))]);
    }

    #[test]
    fn what_is_no_tensor_file_is_an_error() {
        let good =
            encode(&[Entry { name: "y".into(), tensor: Tensor::floats(&[2], vec![0.5, 1.0]), dtype: DType::F64 }], &[]);
        let good = good.unwrap();
        for cut in 0..good.len() {
            assert!(matches!(TensorFile::parse("f", &good[..cut]), Err(Fault::User(d)) if d[0].code == codes::E0511));
        }
        let sizes = |text: &str| TensorFile::parse("f", &encode(&[], &[("sizes", text.to_owned())]).unwrap());
        for bad in ["[1]", "{\"E\": \"x\"}", "{"] {
            assert!(matches!(sizes(bad), Err(Fault::User(d)) if d[0].code == codes::E0517));
        }
    }
}
