use std::collections::HashMap;

use proptest::prelude::*;
use safetensors::tensor::{SafeTensors, TensorView, serialize};

use crate::error::Error;
use crate::plan::{Action, Assignment, Plan, Step, Target, Value};
use crate::save::Layout;
use crate::save::error::SaveError;
use crate::tensor::{Dtype, TensorInfo};

fn assignment(info: TensorInfo, action: Action) -> Assignment {
    let value = Value::Tied { to: "unused".into() };
    Assignment {
        target: info,
        action,
        value,
        step: Step::None,
        reason: "".into(),
        runners_up: Vec::new(),
        init: None,
        new_rows: 0,
        head: false,
        lsuv: None,
        mismatched: None,
    }
}

pub(super) fn plan_of(assignments: Vec<Assignment>, max_shard_size: u64) -> Plan {
    Plan {
        xfer_plan: 1,
        seed: 0,
        generator: "philox4x32-10/1".into(),
        sources: Vec::new(),
        target: Target { form: "listing".into(), family: None, tensors: 0, parameters: 0 },
        assignments,
        max_shard_size,
        companions: Vec::new(),
        unused: Vec::new(),
        dropped: Vec::new(),
        warnings: Vec::new(),
        evidence: Vec::new(),
        batch: None,
    }
}

fn plan(infos: &[TensorInfo], max_shard_size: u64) -> Plan {
    plan_of(infos.iter().map(|info| assignment(info.clone(), Action::New)).collect(), max_shard_size)
}

/// Every type once, in shapes of different sizes.
fn every_dtype() -> Vec<TensorInfo> {
    let info = |(n, dtype): (usize, &Dtype)| TensorInfo::new(format!("layer.{n}"), *dtype, [n as u64 % 3 + 1, 4]);
    Dtype::ALL.iter().enumerate().map(info).collect()
}

fn theirs(dtype: Dtype) -> safetensors::Dtype {
    serde_json::from_value(serde_json::json!(dtype.stored_name())).unwrap()
}

/// The file that the reference library writes for the same tensors.
fn reference(infos: &[TensorInfo], data: &[Vec<u8>]) -> Vec<u8> {
    let view = |(info, data): (&TensorInfo, &'static [u8])| {
        let shape = info.shape.iter().map(|size| *size as usize).collect();
        (info.name.clone(), TensorView::new(theirs(info.dtype), shape, data).unwrap())
    };
    let leaked = data.iter().map(|bytes| -> &'static [u8] { Box::leak(bytes.clone().into_boxed_slice()) });
    let views: Vec<_> = infos.iter().zip(leaked).map(view).collect();
    serialize(views, Some(HashMap::from([("format".to_string(), "pt".to_string())]))).unwrap()
}

/// The only file of the layout with `data` put where its spans say.
fn written(layout: &Layout, data: &[Vec<u8>]) -> Vec<u8> {
    let [file] = layout.files.as_slice() else { panic!("one file expected") };
    let mut bytes = vec![0xAA; file.bytes as usize];
    bytes[..file.header.len()].copy_from_slice(&file.header);
    for span in &file.spans {
        bytes[span.offset as usize..][..span.len as usize].copy_from_slice(&data[span.assignment]);
    }
    bytes
}

fn numbered(infos: &[TensorInfo]) -> Vec<Vec<u8>> {
    let bytes = |(n, info): (usize, &TensorInfo)| vec![n as u8 + 1; info.bytes().unwrap() as usize];
    infos.iter().enumerate().map(bytes).collect()
}

#[test]
fn a_file_of_every_dtype_has_the_bytes_that_the_reference_library_writes() {
    let infos = every_dtype();
    let data = numbered(&infos);
    let layout = Layout::of(&plan(&infos, u64::MAX)).unwrap();
    assert_eq!(layout.index, None);
    assert_eq!(written(&layout, &data), reference(&infos, &data));
}

#[test]
fn every_tensor_is_aligned_to_its_elements_and_nothing_lies_between() {
    let infos = every_dtype();
    let layout = Layout::of(&plan(&infos, u64::MAX)).unwrap();
    let file = &layout.files[0];
    let mut end = file.header.len() as u64;
    assert_eq!(end % 8, 0);
    for span in &file.spans {
        let dtype = infos[span.assignment].dtype;
        assert_eq!((span.offset, span.offset % (dtype.bits() / 8).max(1)), (end, 0), "{dtype}");
        end += span.len;
    }
    assert_eq!(end, file.bytes);
    assert_eq!(file.spans.len(), infos.len());
}

#[test]
fn a_plan_without_tensors_is_one_valid_file() {
    let layout = Layout::of(&plan(&[], 0)).unwrap();
    assert_eq!((layout.files.len(), layout.index.clone()), (1, None));
    let bytes = written(&layout, &[]);
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().len(), 0);
}

#[test]
fn tied_tensors_take_no_space_and_have_no_entry() {
    let tensor = |name: &str, action| assignment(TensorInfo::new(name, Dtype::F32, [2]), action);
    let assignments = vec![tensor("owner", Action::Copied), tensor("tied", Action::Tied)];
    let layout = Layout::of(&plan_of(assignments, u64::MAX)).unwrap();
    let bytes = written(&layout, &[vec![1; 8], vec![]]);
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().names(), ["owner"]);
}

#[test]
fn shards_are_filled_in_plan_order_and_a_tensor_above_the_limit_has_its_own() {
    let tensor = |name: &str, bytes: u64| TensorInfo::new(name, Dtype::U8, [bytes]);
    let infos = [tensor("z", 4), tensor("a", 6), tensor("b", 1), tensor("huge", 99), tensor("c", 0), tensor("d", 10)];
    let layout = Layout::of(&plan(&infos, 10)).unwrap();
    let held = |file: &super::super::WeightFile| {
        let mut names: Vec<_> = file.spans.iter().map(|span| infos[span.assignment].name.clone()).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(layout.files.iter().map(held).collect::<Vec<_>>(), ["a z", "b", "huge", "c d"]);
    let names: Vec<_> = layout.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names[0], "model-00001-of-00004.safetensors");
    assert_eq!(names[3], "model-00004-of-00004.safetensors");
}

#[test]
fn the_index_reads_as_transformers_writes_it() {
    let infos = [TensorInfo::new("b", Dtype::F16, [3]), TensorInfo::new("a", Dtype::F32, [2, 2])];
    let layout = Layout::of(&plan(&infos, 1)).unwrap();
    let expected = r#"{
  "metadata": {
    "total_parameters": 7,
    "total_size": 22
  },
  "weight_map": {
    "a": "model-00002-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors"
  }
}
"#;
    assert_eq!(layout.index.as_deref(), Some(expected));
}

fn refused(plan: &Plan) -> SaveError {
    Layout::of(plan).unwrap_err().downcast().unwrap_or_else(|other| panic!("expected a refusal, got {other:?}"))
}

#[test]
fn what_cannot_be_laid_out_is_refused_by_name() {
    let tensor = |name: &str, dtype, shape: &[u64]| TensorInfo::new(name, dtype, shape);
    let twice = [tensor("w", Dtype::F32, &[1]), tensor("w", Dtype::F32, &[1])];
    assert!(matches!(refused(&plan(&twice, 9)), SaveError::DuplicateTensor { tensor } if tensor == "w"));
    let reserved = [tensor("__metadata__", Dtype::F32, &[1])];
    assert!(matches!(refused(&plan(&reserved, 9)), SaveError::ReservedName { .. }));
    for (dtype, shape) in [(Dtype::F4, &[3][..]), (Dtype::F32, &[u64::MAX, 2][..]), (Dtype::F64, &[1 << 61][..])] {
        let odd = [tensor("w", dtype, shape)];
        assert!(matches!(refused(&plan(&odd, 9)), SaveError::Uncountable { .. }), "{dtype}");
    }
    let wide = [tensor("w", Dtype::F32, &[1 << 32, 1 << 32, 0])];
    assert!(matches!(refused(&plan(&wide, 9)), SaveError::Header { .. }));
    let together = [tensor("a", Dtype::U8, &[u64::MAX - 1]), tensor("b", Dtype::U8, &[u64::MAX - 1])];
    assert!(matches!(refused(&plan(&together, 9)), SaveError::TooLarge));
}

#[test]
fn a_header_that_readers_refuse_is_refused_with_the_flag_to_type() {
    let infos: Vec<_> =
        (0..300).map(|n| TensorInfo::new(format!("{n}{}", "x".repeat(100_000)), Dtype::U8, [1])).collect();
    let error = Error::from(refused(&plan(&infos, u64::MAX)));
    assert!(error.hints()[0].contains("--max-shard-size"), "{error}");
    assert!(Layout::of(&plan(&infos, 100)).is_ok());
}

proptest! {
    #[test]
    fn any_tensors_are_laid_out_as_the_reference_library_does(
        parts in prop::collection::vec((any::<String>(), 0..Dtype::ALL.len(), prop::collection::vec(0u64..4, 0..4)), 0..12)
    ) {
        let mut infos: Vec<TensorInfo> = parts
            .into_iter()
            .map(|(name, dtype, shape)| TensorInfo::new(name, Dtype::ALL[dtype], shape))
            .filter(|info| info.bytes().is_ok() && info.name != "__metadata__")
            .collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos.dedup_by(|a, b| a.name == b.name);
        let data = numbered(&infos);
        let layout = Layout::of(&plan(&infos, u64::MAX)).unwrap();
        prop_assert_eq!(written(&layout, &data), reference(&infos, &data));
    }
}
