//! The names of an adapter's tensors: the module of the base, and what of it.

/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

/// Components that PEFT puts between a module and its tensors.
const WRAPPERS: &[&str] = &["base_layer", "modules_to_save", "original_module"];

/// A name, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    /// The module of the base; of a whole tensor its full name.
    pub module: String,
    pub part: Part,
}

/// What a tensor of an adapter is.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// `lora_A`, or `lora_embedding_A`.
    Down {
        is_embedding: bool,
    },
    /// `lora_B`, or `lora_embedding_B`.
    Up,
    /// The bias of `lora_B`.
    UpBias,
    Magnitude,
    Tokens,
    /// A tensor of the base, in place of the base's own.
    Whole,
    /// As above, below `modules_to_save`.
    Saved,
    /// What merging has no use for.
    Ignored,
}

impl Key {
    /// Of the name of a tensor, or what is wrong with it.
    pub(crate) fn parse(name: &str) -> Result<Key, &'static str> {
        let parts: Vec<&str> = name.strip_prefix(PREFIX).unwrap_or(name).split('.').collect();
        let is_lora = |part: &&str| part.starts_with("lora_");
        let marker = parts.iter().position(|part| is_lora(part) || *part == "token_adapter");
        let Some(at) = marker else { return Ok(whole(&parts)) };
        let (before, after) = parts.split_at(at);
        let module = plain(before).join(".");
        let rest: Vec<&str> = after.iter().skip(1).copied().collect();
        let weight = matches!(rest.as_slice(), [] | ["weight"] | [_, "weight"]) || rest.len() == 1;
        let part = match (after[0], rest.as_slice()) {
            ("token_adapter", ["base_layer", last]) => {
                return Ok(Key { module: format!("{module}.{last}"), part: Part::Whole });
            }
            ("token_adapter", ["trainable_tokens_delta"] | ["trainable_tokens_delta", _]) => Part::Tokens,
            ("token_adapter", ["trainable_tokens_original", ..]) => Part::Ignored,
            ("lora_B", ["bias"] | [_, "bias"]) => Part::UpBias,
            ("lora_A" | "lora_embedding_A", _) if weight => Part::Down { is_embedding: after[0] == "lora_embedding_A" },
            ("lora_B" | "lora_embedding_B", _) if weight => Part::Up,
            ("lora_magnitude_vector", _) if weight => Part::Magnitude,
            _ => return Err("no part of a low-rank adapter that is merged"),
        };
        Ok(Key { module, part })
    }
}

/// A tensor of the base by its name there.
fn whole(parts: &[&str]) -> Key {
    let part = match () {
        () if parts.contains(&"original_module") => Part::Ignored,
        () if parts.contains(&"modules_to_save") => Part::Saved,
        () => Part::Whole,
    };
    Key { module: plain(parts).join("."), part }
}

/// Components without those of PEFT; after `modules_to_save` stands the adapter's name, where it is in the file.
fn plain<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let mut plain = Vec::with_capacity(parts.len());
    let mut parts = parts.iter().copied().peekable();
    while let Some(part) = parts.next() {
        match part {
            "modules_to_save" if parts.peek() == Some(&"default") => drop(parts.next()),
            part if WRAPPERS.contains(&part) => {}
            part => plain.push(part),
        }
    }
    plain
}
