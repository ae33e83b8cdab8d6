//! Files that one process of a training run wrote, by their names: it holds a piece of every tensor, or some of them.

use crate::checkpoint::pieces::error::PartError;
use crate::error::Result;

/// Words before a number that count the processes that a model is split over.
const WORDS: &[&str] = &["rank", "tp", "pp", "tprank", "pprank", "mprank", "shard", "part"];
/// Of these a single file may be whole: data-parallel processes hold the same.
const MAYBE_WHOLE: &[&str] = &["rank"];

/// What the name of a file states of the process that wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint) struct Rank {
    /// What it is a piece of.
    pub(in crate::checkpoint) of: &'static str,
    /// How such pieces are put together.
    pub(in crate::checkpoint) remedy: &'static str,
    /// How many there are, where the name states it.
    pub(in crate::checkpoint) count: Option<u64>,
    /// Which process it was, where the name states it in the ordinary form.
    number: u64,
    /// The name with the number left out; equal for all pieces of a model.
    pub(in crate::checkpoint) set: String,
    /// Whether the name alone proves that it is a piece.
    pub(in crate::checkpoint) is_certain: bool,
}

const DCP: (&str, &str) = (
    "a distributed checkpoint (DCP)",
    "consolidate it first: python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIR model.pt",
);
const ZERO: (&str, &str) =
    ("a DeepSpeed ZeRO checkpoint", "consolidate it first: python DIR/zero_to_fp32.py DIR MERGED --safe_serialization");
const DEEPSPEED: (&str, &str) = (
    "a DeepSpeed checkpoint of several model-parallel ranks",
    "merge it first with the tools of the library that wrote it (for ZeRO: python DIR/zero_to_fp32.py DIR MERGED)",
);
const FSDP: (&str, &str) = (
    "an FSDP checkpoint",
    "gather it first: accelerate merge-weights DIR OUT, or for verl: python -m verl.model_merger merge --backend fsdp \
     --local_dir DIR --target_dir OUT",
);
const MEGATRON: (&str, &str) = (
    "a Megatron checkpoint of several ranks",
    "convert it first with Megatron-LM: python tools/checkpoint/convert.py --model-type GPT --loader mcore --saver llama_mistral \
     --load-dir DIR --save-dir OUT",
);
const PARALLEL: (&str, &str) =
    ("a model that is split over several files", "merge the files first, with the library that wrote them");

impl Rank {
    /// By the name of a file and that of its folder (empty where that is not known); `None` where they state none.
    pub(in crate::checkpoint) fn of(folder: &str, name: &str) -> Option<Rank> {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let words = words(stem);
        let number = |word: &str| words.windows(2).find(|two| two[0].text == word).map(|two| two[1].text);
        let rank = |(of, remedy): (&'static str, &'static str), is_certain: bool, count: Option<u64>| {
            Some(Rank { of, remedy, count, number: 0, set: masked(name), is_certain })
        };
        if name.ends_with(".distcp") || name == ".metadata" {
            return rank(DCP, true, None);
        }
        if name.starts_with("shard-") && name.ends_with(".safetensors") && name.contains("-model-") {
            return rank(DCP, true, None);
        }
        if name.contains("zero_pp_rank_") {
            return rank(ZERO, true, None);
        }
        if name.ends_with("model_states.pt") && (name.starts_with("mp_rank_") || name.starts_with("layer_")) {
            return rank(DEEPSPEED, name.starts_with("layer_"), None);
        }
        if let Some(size) = number("size").filter(|_| stem.contains("world_size")) {
            let size = size.parse().ok()?;
            return if size == 1 { None } else { rank(FSDP, true, Some(size)) };
        }
        if name.starts_with("pytorch_model_fsdp_") {
            return rank(FSDP, true, None);
        }
        if folder.starts_with("mp_rank_") && Self::is_megatron(name) {
            let mut found = rank(MEGATRON, false, None)?;
            found.set = masked(folder);
            return Some(found);
        }
        let (word, number) = numbered(&words)?;
        let mut found = rank(PARALLEL, !MAYBE_WHOLE.contains(&word), count(&words))?;
        found.number = number.text.parse().ok()?;
        found.set = format!("{}#{}", name.get(..number.at)?, name.get(number.at + number.text.len()..)?);
        Some(found)
    }

    fn is_megatron(name: &str) -> bool {
        ["model_optim_rng.pt", "model_rng.pt", "distrib_optim.pt", "optim.pt"].contains(&name)
    }

    /// The error for a file at `path`, where it is certain to be a piece or pieces that other processes wrote are among `others`
    /// (folder and name of each).
    pub(in crate::checkpoint) fn refuse(&self, path: &str, others: &[(String, String)]) -> Result<()> {
        let ranks = others.iter().filter_map(|(folder, name)| Rank::of(folder, name));
        let fellows: Vec<Rank> = ranks.filter(|other| other.set == self.set).collect();
        // processes are counted from 0: files that end in rank_8 and rank_16 are something else
        let has_first = self.number == 0 || fellows.iter().any(|fellow| fellow.number == 0);
        if !self.is_certain && (fellows.is_empty() || !has_first) {
            return Ok(());
        }
        let count = self.count.or_else(|| (!fellows.is_empty()).then(|| fellows.len() as u64 + 1));
        Err(PartError::Rank { file: path.into(), of: self.of, count, remedy: self.remedy }.into())
    }
}

/// An error where files of a directory were written by several processes, or one is certain to be a piece. Names may have folders.
pub(in crate::checkpoint) fn refuse_ranks(paths: &[&str]) -> Result<()> {
    let split = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        (folder.rsplit('/').next().unwrap_or_default().to_string(), name.to_string())
    };
    let all: Vec<(String, String)> = paths.iter().map(|path| split(path)).collect();
    for (place, (path, (folder, name))) in paths.iter().zip(&all).enumerate() {
        let Some(rank) = Rank::of(folder, name) else { continue };
        let others: Vec<(String, String)> =
            all.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, split)| split.clone()).collect();
        rank.refuse(path, &others)?;
    }
    Ok(())
}

/// A run of letters or of digits, and where it begins.
struct Word<'a> {
    text: &'a str,
    at: usize,
}

/// The runs of letters and of digits of a name, in order.
fn words(stem: &str) -> Vec<Word<'_>> {
    let kind = |c: char| if c.is_ascii_digit() { 1 } else { u8::from(c.is_alphanumeric()) * 2 };
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(rest) = stem.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let text = rest.split(|c| kind(c) != kind(first)).next().unwrap_or(rest);
        if kind(first) > 0 {
            words.push(Word { text, at });
        }
        at += text.len();
    }
    words
}

/// The word that counts processes, and the number after it.
fn numbered<'w, 'a>(words: &'w [Word<'a>]) -> Option<(&'static str, &'w Word<'a>)> {
    let is_number = |word: &Word| word.text.bytes().all(|byte| byte.is_ascii_digit());
    let known = |word: &Word| WORDS.iter().copied().find(|known| word.text.eq_ignore_ascii_case(known));
    words.windows(2).find_map(|two| known(&two[0]).zip(Some(&two[1])).filter(|(_, number)| is_number(number)))
}

/// The number after `of`.
fn count(words: &[Word]) -> Option<u64> {
    words.windows(2).find(|two| two[0].text == "of").and_then(|two| two[1].text.parse().ok())
}

/// A name with every run of digits as `#`.
fn masked(name: &str) -> String {
    let mut masked = String::with_capacity(name.len());
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if masked.ends_with('#') => {}
            true => masked.push('#'),
            false => masked.push(c),
        }
    }
    masked
}
