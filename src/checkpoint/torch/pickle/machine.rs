//! The stack machine. It knows nothing of tensors, and has no recursion.

use super::code::runs_code;
use super::input::Input;
use super::value::{Id, Node, Object, Values};
use crate::checkpoint::torch::error::{PickleProblem, TorchError};
use crate::error::{Result, shortened};
use crate::hash::HashMap;

/// Most values of one pickle; a tensor takes about fifteen.
const VALUES: usize = 8 << 20;
/// Most entries of stack and memo; both cost four to thirty bytes for each.
const ENTRIES: usize = 16 << 20;
/// Most instructions: each takes at least one byte of the file.
const INSTRUCTIONS: u64 = 1 << 28;
/// Deepest nesting of marks.
const DEPTH: usize = 10_000;
/// The longest line of protocol 0.
pub(super) const LINE: usize = 1 << 20;

/// Values that need no memory of their own.
const NONE: Id = Id(0);
pub(super) const FALSE: Id = Id(1);
pub(super) const TRUE: Id = Id(2);
pub(super) const OPAQUE: Id = Id(3);
const EMPTY_TUPLE: Id = Id(4);

/// Reads one pickle, up to and including its end.
pub(in crate::checkpoint::torch) fn load(input: &mut Input) -> Result<Values> {
    let nodes = vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Opaque, Node::Tuple(Vec::new())];
    let mut machine = Machine { input, nodes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::default() };
    for _ in 0..INSTRUCTIONS {
        machine.input.instruction = machine.input.offset();
        let [instruction] = machine.input.array()?;
        if instruction == b'.' {
            let root = machine.pop()?;
            return Ok(Values { nodes: machine.nodes, root });
        }
        machine.step(instruction)?;
    }
    machine.limit("instructions", INSTRUCTIONS)
}

pub(super) struct Machine<'i, 'a> {
    pub(super) input: &'i mut Input<'a>,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_, '_> {
    fn step(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            0x80 => self.protocol(),
            0x95 => self.input.array::<8>().map(drop),
            b'(' => self.mark(),
            b'0' | b'1' | b'2' => self.shuffle(instruction),
            b'N' => self.push(NONE),
            0x88 => self.push(TRUE),
            0x89 => self.push(FALSE),
            b')' => self.push(EMPTY_TUPLE),
            b'F' | b'I' | b'L' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b => self.number(instruction),
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.text(instruction),
            b'B' | b'C' | 0x8e | 0x96 => self.bytes(instruction),
            b'}' | b']' | 0x8f | b't' | b'l' | b'd' | 0x91 | 0x85..=0x87 => self.container(instruction),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(instruction),
            b'g' | b'h' | b'j' | b'p' | b'q' | b'r' | 0x94 => self.memory(instruction),
            b'c' | 0x93 => self.global(instruction),
            b'R' | 0x81 | 0x92 | b'i' | b'o' => self.object(instruction),
            b'b' => self.build(),
            b'P' | b'Q' => self.persistent(instruction),
            0x82..=0x84 | 0x97 | 0x98 => self.input.fault(PickleProblem::Outside(instruction)),
            other => self.input.fault(PickleProblem::Instruction(other)),
        }
    }

    fn limit<T>(&self, what: &'static str, limit: u64) -> Result<T> {
        self.input.fault(PickleProblem::Limit { what, limit })
    }

    fn protocol(&mut self) -> Result<()> {
        match self.input.array()? {
            [0..=5] => Ok(()),
            [version] => self.input.fault(PickleProblem::Protocol(version)),
        }
    }

    pub(super) fn push(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= ENTRIES {
            return self.limit("values on the stack", ENTRIES as u64);
        }
        self.stack.push(id);
        Ok(())
    }

    fn create(&mut self, node: Node) -> Result<Id> {
        if self.nodes.len() >= VALUES {
            return self.limit("values", VALUES as u64);
        }
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    pub(super) fn push_new(&mut self, node: Node) -> Result<()> {
        let id = self.create(node)?;
        self.push(id)
    }

    fn pop(&mut self) -> Result<Id> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return self.input.fault(PickleProblem::EmptyStack);
        }
        self.stack.pop().map_or_else(|| self.input.fault(PickleProblem::EmptyStack), Ok)
    }

    fn top(&self) -> Result<Id> {
        let above = self.stack.get(self.marks.last().copied().unwrap_or(0)..).unwrap_or_default();
        above.last().copied().map_or_else(|| self.input.fault(PickleProblem::EmptyStack), Ok)
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= DEPTH {
            return self.limit("marks within marks", DEPTH as u64);
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Everything above the last mark, which goes too.
    fn since_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => self.input.fault(PickleProblem::NoMark),
        }
    }

    fn shuffle(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            b'0' if self.stack.len() == self.marks.last().copied().unwrap_or(usize::MAX) => self.since_mark().map(drop),
            b'0' => self.pop().map(drop),
            b'1' => self.since_mark().map(drop),
            _ => self.top().and_then(|id| self.push(id)),
        }
    }

    fn container(&mut self, instruction: u8) -> Result<()> {
        let node = match instruction {
            b'}' => Node::Dict(Vec::new()),
            b']' => Node::List(Vec::new()),
            0x8f => Node::Set(Vec::new()),
            b't' => Node::Tuple(self.since_mark()?),
            b'l' => Node::List(self.since_mark()?),
            b'd' => {
                let flat = self.since_mark()?;
                Node::Dict(self.pairs(&flat)?)
            }
            0x91 => Node::Set(self.since_mark()?),
            count => {
                let mut elements = Vec::with_capacity(3);
                for _ in 0..count - 0x84 {
                    elements.push(self.pop()?);
                }
                elements.reverse();
                Node::Tuple(elements)
            }
        };
        self.push_new(node)
    }

    fn pairs(&self, flat: &[Id]) -> Result<Vec<(Id, Id)>> {
        if !flat.len().is_multiple_of(2) {
            return self.input.fault(PickleProblem::Unpaired(flat.len()));
        }
        Ok(flat.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect())
    }

    fn fill(&mut self, instruction: u8) -> Result<()> {
        match instruction {
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(vec![(key, value)])
            }
            b'u' => {
                let flat = self.since_mark()?;
                let pairs = self.pairs(&flat)?;
                self.set_items(pairs)
            }
            b'a' => {
                let element = self.pop()?;
                self.append(vec![element])
            }
            _ => {
                let elements = self.since_mark()?;
                self.append(elements)
            }
        }
    }

    fn set_items(&mut self, pairs: Vec<(Id, Id)>) -> Result<()> {
        match self.top_node()? {
            Node::Dict(items) => items.extend(pairs),
            Node::Object(object) => object.items.extend(pairs),
            other => {
                let found = other.kind();
                return self.input.fault(PickleProblem::Kind { expected: "a dictionary", found });
            }
        }
        Ok(())
    }

    fn append(&mut self, more: Vec<Id>) -> Result<()> {
        match self.top_node()? {
            Node::List(elements) | Node::Set(elements) => elements.extend(more),
            Node::Object(object) => object.elements.extend(more),
            other => {
                let found = other.kind();
                return self.input.fault(PickleProblem::Kind { expected: "a list", found });
            }
        }
        Ok(())
    }

    fn top_node(&mut self) -> Result<&mut Node> {
        let top = self.top()?;
        match self.nodes.get_mut(top.0 as usize) {
            Some(node) => Ok(node),
            None => self.input.fault(PickleProblem::EmptyStack),
        }
    }

    fn memory(&mut self, instruction: u8) -> Result<()> {
        let place = match instruction {
            b'g' | b'p' => {
                let line = self.input.line(LINE)?;
                match line.trim().parse() {
                    Ok(place) => place,
                    Err(_) => return self.input.fault(PickleProblem::Number(shortened(&line))),
                }
            }
            b'h' | b'q' => {
                let [place] = self.input.array()?;
                place.into()
            }
            b'j' | b'r' => u32::from_le_bytes(self.input.array()?).into(),
            _ => self.memo.len() as u64,
        };
        if matches!(instruction, b'g' | b'h' | b'j') {
            return match self.memo.get(&place).copied() {
                Some(id) => self.push(id),
                None => self.input.fault(PickleProblem::Memo(place)),
            };
        }
        if self.memo.len() >= ENTRIES {
            return self.limit("remembered values", ENTRIES as u64);
        }
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn global(&mut self, instruction: u8) -> Result<()> {
        if instruction == b'c' {
            let id = self.named_by_lines()?;
            return self.push(id);
        }
        let name = self.pop()?;
        let module = self.pop()?;
        let text = |id: Id| match self.nodes.get(id.0 as usize) {
            Some(Node::Text(text)) => Ok(text.to_string()),
            other => {
                let found = other.map_or("nothing", Node::kind);
                self.input.fault(PickleProblem::Kind { expected: "a text", found })
            }
        };
        let (module, name) = (text(module)?, text(name)?);
        let id = self.named(&module, &name)?;
        self.push(id)
    }

    fn named_by_lines(&mut self) -> Result<Id> {
        let (module, name) = (self.input.line(LINE)?, self.input.line(LINE)?);
        self.named(&module, &name)
    }

    fn named(&mut self, module: &str, name: &str) -> Result<Id> {
        let global = format!("{module}.{name}");
        if runs_code(module, name) {
            let (file, offset) = (self.input.file_name().to_string(), self.input.instruction);
            return Err(TorchError::Code { file, offset, global: shortened(&global) }.into());
        }
        self.create(Node::Global(global.into()))
    }

    fn object(&mut self, instruction: u8) -> Result<()> {
        let (class, arguments) = match instruction {
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                (self.pop()?, arguments)
            }
            0x92 => {
                // keyword arguments become one more positional one
                let (keywords, arguments) = (self.pop()?, self.pop()?);
                let both = self.create(Node::Tuple(vec![arguments, keywords]))?;
                (self.pop()?, both)
            }
            b'i' => {
                let class = self.named_by_lines()?;
                let arguments = self.since_mark()?;
                (class, self.create(Node::Tuple(arguments))?)
            }
            _ => {
                let mut rest = self.since_mark()?.into_iter();
                let Some(class) = rest.next() else { return self.input.fault(PickleProblem::EmptyStack) };
                (class, self.create(Node::Tuple(rest.collect()))?)
            }
        };
        let kind = |id: Id| self.nodes.get(id.0 as usize).unwrap_or(&Node::None);
        if !matches!(kind(class), Node::Global(_) | Node::Object(_) | Node::Persistent(_)) {
            let found = kind(class).kind();
            return self.input.fault(PickleProblem::Kind { expected: "a class or function", found });
        }
        if !matches!(kind(arguments), Node::Tuple(_)) {
            let found = kind(arguments).kind();
            return self.input.fault(PickleProblem::Kind { expected: "a tuple of arguments", found });
        }
        let object = Object { class, arguments, items: Vec::new(), elements: Vec::new(), state: None };
        self.push_new(Node::Object(Box::new(object)))
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match self.top_node()? {
            Node::Object(object) => object.state = Some(state),
            other => {
                let found = other.kind();
                return self.input.fault(PickleProblem::Kind { expected: "an object", found });
            }
        }
        Ok(())
    }

    fn persistent(&mut self, instruction: u8) -> Result<()> {
        let key = match instruction {
            b'Q' => self.pop()?,
            _ => {
                let line = self.input.line(LINE)?;
                self.create(Node::Text(line.into()))?
            }
        };
        self.push_new(Node::Persistent(key))
    }
}
