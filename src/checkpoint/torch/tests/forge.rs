//! Archives and pickles written by hand, so that every number in them can be a lie.

/// One entry as an archive says it is.
pub(super) struct Forged<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a [u8],
    pub(super) method: u16,
    /// What the directory says of the size, where it is not that of the data.
    pub(super) bytes: Option<u32>,
    pub(super) packed: Option<u32>,
    pub(super) header: Option<u32>,
    pub(super) flags: u16,
}

impl<'a> Forged<'a> {
    pub(super) fn new(name: &'a str, data: &'a [u8]) -> Forged<'a> {
        Forged { name, data, method: 0, bytes: None, packed: None, header: None, flags: 0 }
    }
}

/// An archive of honest, stored entries.
pub(super) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    forged(&entries.iter().map(|(name, data)| Forged::new(name, data)).collect::<Vec<_>>())
}

/// An archive of entries that may lie.
pub(super) fn forged(entries: &[Forged]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let packed = entry.packed.unwrap_or(entry.data.len() as u32);
        let bytes = entry.bytes.unwrap_or(entry.data.len() as u32);
        let name = (entry.name.len() as u16).to_le_bytes();
        let common = [&[20, 0][..], &entry.flags.to_le_bytes(), &entry.method.to_le_bytes(), &[0; 8]].concat();
        let sizes = [packed.to_le_bytes(), bytes.to_le_bytes()].concat();
        let header = entry.header.unwrap_or(file.len() as u32);
        directory
            .extend([&b"PK\x01\x02\x14\x00"[..], &common, &sizes, &name, &[0; 12], &header.to_le_bytes()].concat());
        directory.extend(entry.name.as_bytes());
        file.extend([&b"PK\x03\x04"[..], &common, &sizes, &name, &[0, 0], entry.name.as_bytes(), entry.data].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let place = [(directory.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes()].concat();
    file.extend(&directory);
    file.extend([&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &place, &[0, 0]].concat());
    file
}

/// A whole number, however large.
pub(super) fn whole(number: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &number.to_le_bytes()].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

pub(super) fn tuple(values: &[Vec<u8>]) -> Vec<u8> {
    [b"(", values.concat().as_slice(), b"t"].concat()
}

pub(super) fn wholes(numbers: &[i64]) -> Vec<u8> {
    tuple(&numbers.iter().map(|number| whole(*number)).collect::<Vec<_>>())
}

/// A tensor of 32-bit floats in storage `0`, which is said to have so many elements.
pub(super) fn tensor(elements: i64, offset: i64, shape: &[i64], stride: &[i64]) -> Vec<u8> {
    let storage =
        tuple(&[text("storage"), b"ctorch\nFloatStorage\n".to_vec(), text("0"), text("cpu"), whole(elements)]);
    let storage = [storage, b"Q".to_vec()].concat();
    let arguments = tuple(&[storage, whole(offset), wholes(shape), wholes(stride)]);
    [b"ctorch._utils\n_rebuild_tensor\n".to_vec(), arguments, b"R".to_vec()].concat()
}

/// A dictionary of values by name.
pub(super) fn dictionary(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<Vec<u8>> = entries.iter().map(|(name, value)| [text(name), value.clone()].concat()).collect();
    [b"}(", pairs.concat().as_slice(), b"u"].concat()
}

pub(super) fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

/// An archive with this pickle, and a storage `0` of 24 bytes.
pub(super) fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", &[1; 24])])
}

/// An archive of one dictionary.
pub(super) fn with_entries(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    with_pickle(&pickle(&dictionary(entries)))
}
