//! The instructions that make numbers, texts and bytes.

use super::machine::{FALSE, LINE, Machine, OPAQUE, TRUE};
use super::value::Node;
use crate::checkpoint::torch::error::PickleProblem;
use crate::error::{Result, shortened};

/// The longest text that is kept; longer ones are passed over, as no name is so long.
const TEXT: u64 = 1 << 20;

impl Machine<'_, '_> {
    pub(super) fn number(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            b'J' => {
                let number = i32::from_le_bytes(self.input.array()?);
                self.push_new(Node::Int(number.into()))
            }
            b'K' => {
                let [number] = self.input.array()?;
                self.push_new(Node::Int(number.into()))
            }
            b'M' => {
                let number = u16::from_le_bytes(self.input.array()?);
                self.push_new(Node::Int(number.into()))
            }
            b'G' => {
                let number = f64::from_be_bytes(self.input.array()?);
                self.push_new(Node::Float(number))
            }
            0x8a => {
                let [length] = self.input.array()?;
                self.long(length.into())
            }
            0x8b => {
                let length = u32::from_le_bytes(self.input.array()?);
                self.long(length.into())
            }
            _ => self.number_text(instruction),
        }
    }

    /// A number of `length` bytes in two's complement, little-endian.
    fn long(&mut self, length: u64) -> Result<()> {
        if length > 16 {
            self.input.skip(length)?;
            return self.push(OPAQUE);
        }
        let bytes = self.input.take(length as usize)?;
        let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; 16];
        for (to, from) in wide.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.whole(i128::from_le_bytes(wide))
    }

    fn whole(&mut self, number: i128) -> Result<()> {
        match i64::try_from(number) {
            Ok(small) => self.push_new(Node::Int(small)),
            Err(_) => self.push_new(Node::Wide(Box::new(number))),
        }
    }

    fn number_text(&mut self, instruction: u8) -> Result<()> {
        let line = self.input.line(LINE)?;
        let text = line.trim();
        match (instruction, text) {
            (b'I', "00") => return self.push(FALSE),
            (b'I', "01") => return self.push(TRUE),
            (b'F', _) => {
                return match text.parse() {
                    Ok(number) => self.push_new(Node::Float(number)),
                    Err(_) => self.input.fault(PickleProblem::Number(shortened(text))),
                };
            }
            _ => {}
        }
        let digits = text.strip_suffix('L').unwrap_or(text);
        let is_number = digits.strip_prefix('-').unwrap_or(digits).bytes().all(|byte| byte.is_ascii_digit());
        match digits.parse() {
            Ok(number) => self.whole(number),
            Err(_) if is_number && !digits.is_empty() && digits != "-" => self.push(OPAQUE),
            Err(_) => self.input.fault(PickleProblem::Number(shortened(text))),
        }
    }

    pub(super) fn text(&mut self, instruction: u8) -> Result<()> {
        let length = match instruction {
            b'S' => {
                let line = self.input.line(LINE)?;
                let text = line.trim();
                let quoted = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
                let inner = quoted('\'').or_else(|| quoted('"')).map(|inner| inner.replace("\\\\", "\\"));
                return match inner {
                    Some(inner) => self.push_new(Node::Text(inner.into())),
                    None => self.push(OPAQUE),
                };
            }
            b'V' => {
                let line = self.input.line(LINE)?;
                return self.push_new(Node::Text(line.into()));
            }
            b'U' | 0x8c => {
                let [length] = self.input.array()?;
                length.into()
            }
            b'T' | b'X' => u32::from_le_bytes(self.input.array()?).into(),
            _ => u64::from_le_bytes(self.input.array()?),
        };
        if length > TEXT {
            self.input.skip(length)?;
            return self.push(OPAQUE);
        }
        // bytes of Python 2 and lone surrogates of Python 3 need not be UTF-8; they are no names then
        match std::str::from_utf8(self.input.take(length as usize)?) {
            Ok(text) => {
                let text = text.into();
                self.push_new(Node::Text(text))
            }
            Err(_) => self.push(OPAQUE),
        }
    }

    pub(super) fn bytes(&mut self, instruction: u8) -> Result<()> {
        let length = match instruction {
            b'C' => {
                let [length] = self.input.array()?;
                length.into()
            }
            b'B' => u32::from_le_bytes(self.input.array()?).into(),
            _ => u64::from_le_bytes(self.input.array()?),
        };
        self.input.skip(length)?;
        self.push(OPAQUE)
    }
}
