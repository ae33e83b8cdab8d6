//! What a file is, by its first bytes. A new format is one line in each table.

/// What a file can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    GitLfs,
    Markup,
    Json,
    Torch,
    Pickle,
    Npz,
    Npy,
    Zip,
    Gguf,
    Hdf5,
    Onnx,
    Msgpack,
    TfLite,
    ExecuTorch,
    Tar,
    Gzip,
}

/// How many of the first bytes are looked at.
pub(super) const HEAD: usize = 512;

/// PyTorch's magic number in a pickle of protocol 0 or 1, which has no first byte of its own.
const TEXT_MAGIC: &[u8] = b"L119547037146038801333356L";

/// Whether the first bytes of a file show a format.
type Recognises = fn(&[u8]) -> bool;

/// In the order in which they are tried: the certain before the likely.
const RECOGNISED: &[(Format, Recognises)] = &[
    (Format::Safetensors, is_safetensors),
    (Format::GitLfs, |head| head.starts_with(b"version https://git-lfs")),
    (Format::Gguf, |head| head.starts_with(b"GGUF")),
    (Format::Hdf5, |head| head.starts_with(b"\x89HDF\r\n\x1a\n")),
    (Format::Npy, |head| head.starts_with(b"\x93NUMPY")),
    (Format::TfLite, |head| head.get(4..8) == Some(b"TFL3")),
    (Format::ExecuTorch, |head| matches!(head.get(4..8), Some([b'E', b'T', b'0'..=b'9', b'0'..=b'9']) | Some(b"PTMF"))),
    (Format::Tar, |head| head.get(257..262) == Some(b"ustar")),
    (Format::Gzip, |head| head.starts_with(b"\x1f\x8b\x08")),
    (Format::Npz, |head| zip_entry(head).is_some_and(|name| name.ends_with(b".npy"))),
    (Format::Torch, |head| zip_entry(head).is_some_and(is_torch_entry)),
    (Format::Zip, |head| head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")),
    (Format::Pickle, |head| matches!(head, [0x80, 1..=5, ..]) || head.starts_with(TEXT_MAGIC)),
    (Format::Markup, |head| matches!(trimmed(head), [b'<', b'!' | b'?' | b'a'..=b'z' | b'A'..=b'Z', ..])),
    (Format::Json, |head| matches!(trimmed(head), [b'{' | b'[', b'"' | b'{' | b' ' | b'\n' | b'\r' | b'}', ..])),
    (Format::Onnx, is_onnx),
    (Format::Msgpack, is_msgpack),
];

/// Endings under which weights go about, and what they most often are.
const ENDINGS: &[(&str, Format)] = &[
    (".safetensors", Format::Safetensors),
    (".bin", Format::Torch),
    (".pt", Format::Torch),
    (".pth", Format::Torch),
    (".ckpt", Format::Torch),
    (".gguf", Format::Gguf),
    (".h5", Format::Hdf5),
    (".hdf5", Format::Hdf5),
    (".keras", Format::Zip),
    (".npz", Format::Npz),
    (".npy", Format::Npy),
    (".onnx", Format::Onnx),
    (".msgpack", Format::Msgpack),
];

impl Format {
    /// By the first bytes of a file (`HEAD` of them, or all), or `None`.
    pub(super) fn of_bytes(head: &[u8]) -> Option<Format> {
        RECOGNISED.iter().find(|(_, recognises)| recognises(head)).map(|(format, _)| *format)
    }

    /// By the ending of a name, where the bytes are not at hand.
    pub(super) fn of_name(name: &str) -> Option<Format> {
        ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }

    /// Whether everything that says what a file holds stands before its data.
    pub(super) fn has_header_in_front(self) -> bool {
        match self {
            Format::Safetensors | Format::Gguf => true,
            Format::GitLfs
            | Format::Markup
            | Format::Json
            | Format::Torch
            | Format::Pickle
            | Format::Npz
            | Format::Npy
            | Format::Zip
            | Format::Hdf5
            | Format::Onnx
            | Format::Msgpack
            | Format::TfLite
            | Format::ExecuTorch
            | Format::Tar
            | Format::Gzip => false,
        }
    }

    /// What people call it.
    pub(super) fn called(self) -> &'static str {
        match self {
            Format::Safetensors => "a safetensors file",
            Format::GitLfs => "a git-lfs pointer, not the file that it points to",
            Format::Markup => "a web page or an XML answer",
            Format::Json => "JSON text",
            Format::Torch => "a PyTorch archive",
            Format::Pickle => "a pickle, as written by torch.save before version 1.6",
            Format::Npz => "a NumPy archive",
            Format::Npy => "a NumPy array",
            Format::Zip => "a zip archive",
            Format::Gguf => "a GGUF file",
            Format::Hdf5 => "an HDF5 file (Keras)",
            Format::Onnx => "an ONNX model",
            Format::Msgpack => "a MessagePack file (Flax)",
            Format::TfLite => "a TensorFlow Lite model",
            Format::ExecuTorch => "an ExecuTorch program (.pte)",
            Format::Tar => "a tar archive",
            Format::Gzip => "a gzip file",
        }
    }

    /// What to do about a file of this kind, ready to type.
    pub(super) fn remedy(self) -> String {
        const CONVERTED: &str =
            "this version of xfer does not read it: fetch another form of the model, or write it with";
        match self {
            Format::Safetensors
            | Format::Torch
            | Format::Pickle
            | Format::Gguf
            | Format::Npy
            | Format::Npz
            | Format::Msgpack
            | Format::Onnx => "fetch or copy the file again".into(),
            Format::GitLfs => "git lfs pull".into(),
            Format::TfLite | Format::ExecuTorch => {
                "its tensors are laid out for one device: use the model that it was exported from".into()
            }
            Format::Tar => "extract it with tar -xf, then pass the checkpoint that it contains".into(),
            Format::Gzip => "decompress it with gunzip, then pass the result".into(),
            Format::Markup | Format::Json => {
                "the download went wrong (a login page, an error answer): fetch it again".into()
            }
            Format::Hdf5 | Format::Zip => {
                format!(
                    "{CONVERTED} the library that it comes from, as save_pretrained(\"DIR\", safe_serialization=True)"
                )
            }
        }
    }
}

fn is_safetensors(head: &[u8]) -> bool {
    match head.split_first_chunk::<8>() {
        Some((length, json)) => {
            u64::from_le_bytes(*length) <= super::safetensors::HEADER_LIMIT && trimmed(json).starts_with(b"{")
        }
        None => false,
    }
}

/// Without a byte-order mark and leading white space.
fn trimmed(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

/// The name of the first entry of a zip archive.
fn zip_entry(head: &[u8]) -> Option<&[u8]> {
    let length = u16::from_le_bytes([*head.get(26)?, *head.get(27)?]);
    head.strip_prefix(b"PK\x03\x04")?;
    head.get(30..30 + usize::from(length))
}

/// `archive/data.pkl`, and the entries that newer and scripted archives begin with.
fn is_torch_entry(name: &[u8]) -> bool {
    let tail = name.iter().position(|byte| *byte == b'/').and_then(|slash| name.get(slash + 1..)).unwrap_or_default();
    [&b"data.pkl"[..], b".format_version", b"version", b"byteorder", b"constants.pkl"].contains(&tail)
        || [&b"code/"[..], b"data/", b"extra/"].iter().any(|folder| tail.starts_with(folder))
}

/// A protobuf whose first field is the small version of ONNX, followed by one of the text fields of a model.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=30, 0x12 | 0x1a | 0x22 | 0x32 | 0x3a, ..])
}

/// A map whose first key is a text.
fn is_msgpack(head: &[u8]) -> bool {
    let key = match head {
        [0x81..=0x8f, key, ..] | [0xde, _, _, key, ..] | [0xdf, _, _, _, _, key, ..] => *key,
        _ => return false,
    };
    matches!(key, 0xa1..=0xbf | 0xd9)
}
