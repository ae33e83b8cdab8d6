//! The pickle machine: every instruction, and every way in which one can be wrong.

use super::Memory;
use crate::checkpoint::torch::error::{PickleProblem, TorchError};
use crate::checkpoint::torch::pickle::{Input, Node, Values, load};
use crate::error::Result;

fn values(pickle: &[u8]) -> Result<Values> {
    let file = Memory(pickle.to_vec());
    load(&mut Input::new(&file, 0, u64::MAX))
}

/// A value as text, as far as it is no deeper than this.
fn shown(values: &Values, id: crate::checkpoint::torch::pickle::Id) -> String {
    let all = |ids: &[_]| ids.iter().map(|id| shown(values, *id)).collect::<Vec<_>>().join(" ");
    let pairs = |items: &[(_, _)]| {
        items.iter().map(|(k, v)| format!("{}:{}", shown(values, *k), shown(values, *v))).collect::<Vec<_>>().join(" ")
    };
    match values.get(id) {
        Node::None => "None".into(),
        Node::Bool(truth) => truth.to_string(),
        Node::Int(number) => number.to_string(),
        Node::Wide(number) => format!("{number}w"),
        Node::Float(number) => format!("{number:?}"),
        Node::Text(text) => format!("{text:?}"),
        Node::Opaque => "?".into(),
        Node::Tuple(elements) => format!("({})", all(elements)),
        Node::List(elements) => format!("[{}]", all(elements)),
        Node::Set(elements) => format!("<{}>", all(elements)),
        Node::Dict(items) => format!("{{{}}}", pairs(items)),
        Node::Global(name) => name.to_string(),
        Node::Persistent(key) => format!("@{}", shown(values, *key)),
        Node::Object(object) => {
            let state = object.state.map(|state| format!(" state {}", shown(values, state))).unwrap_or_default();
            let (class, arguments) = (shown(values, object.class), shown(values, object.arguments));
            format!("{class}{arguments}[{}]{{{}}}{state}", all(&object.elements), pairs(&object.items))
        }
    }
}

fn read(pickle: &[u8]) -> String {
    let values = values(pickle).unwrap_or_else(|error| panic!("{pickle:?}: {error}"));
    shown(&values, values.root)
}

#[test]
fn every_instruction_does_what_python_says() {
    for (pickle, expected) in [
        (&b"N."[..], "None"),
        (b"I01\n.", "true"),
        (b"I00\n.", "false"),
        (b"I-7\n.", "-7"),
        (b"\x88.", "true"),
        (b"\x89.", "false"),
        (b"K\xff.", "255"),
        (b"M\xff\xff.", "65535"),
        (b"J\xff\xff\xff\xff.", "-1"),
        (b"L12L\n.", "12"),
        (b"L-12\n.", "-12"),
        (b"\x8a\x00.", "0"),
        (b"\x8a\x01\xff.", "-1"),
        (b"\x8a\x02\xff\x00.", "255"),
        (b"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "18446744073709551616w"),
        (b"\x8a\x11\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01.", "?"),
        (b"\x8b\x01\x00\x00\x00\x05.", "5"),
        (b"F1.5\n.", "1.5"),
        (b"G\x3f\xf8\x00\x00\x00\x00\x00\x00.", "1.5"),
        (b"S'ab'\n.", "\"ab\""),
        (b"S\"ab\"\n.", "\"ab\""),
        (b"Vab\n.", "\"ab\""),
        (b"T\x02\x00\x00\x00ab.", "\"ab\""),
        (b"U\x02ab.", "\"ab\""),
        (b"U\x01\xff.", "?"),
        (b"X\x02\x00\x00\x00ab.", "\"ab\""),
        (b"\x8c\x02ab.", "\"ab\""),
        (b"\x8d\x02\x00\x00\x00\x00\x00\x00\x00ab.", "\"ab\""),
        (b"B\x02\x00\x00\x00ab.", "?"),
        (b"C\x02ab.", "?"),
        (b"\x8e\x02\x00\x00\x00\x00\x00\x00\x00ab.", "?"),
        (b"\x96\x02\x00\x00\x00\x00\x00\x00\x00ab.", "?"),
        (b").", "()"),
        (b"N\x85.", "(None)"),
        (b"NK\x01\x86.", "(None 1)"),
        (b"NK\x01K\x02\x87.", "(None 1 2)"),
        (b"(NK\x01t.", "(None 1)"),
        (b"].", "[]"),
        (b"(NK\x01l.", "[None 1]"),
        (b"]Na.", "[None]"),
        (b"](NK\x01e.", "[None 1]"),
        (b"}.", "{}"),
        (b"(K\x01Nd.", "{1:None}"),
        (b"}K\x01Ns.", "{1:None}"),
        (b"}(K\x01NK\x02Nu.", "{1:None 2:None}"),
        (b"\x8f(K\x01\x90.", "<1>"),
        (b"(K\x01\x91.", "<1>"),
        (b"K\x01K\x020.", "1"),
        (b"K\x01(NN1.", "1"),
        (b"K\x01(0.", "1"),
        (b"K\x012\x86.", "(1 1)"),
        (b"K\x01q\x000h\x00.", "1"),
        (b"K\x01r\x00\x01\x00\x000j\x00\x01\x00\x00.", "1"),
        (b"K\x01p9\n0g9\n.", "1"),
        (b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00K\x01\x940h\x00.", "1"),
        (b"ca\nb\n.", "a.b"),
        (b"Va\nVb\n\x93.", "a.b"),
        (b"ca\nb\n)R.", "a.b()[]{}"),
        (b"ca\nb\n)\x81.", "a.b()[]{}"),
        (b"ca\nb\n)}\x92.", "a.b(() {})[]{}"),
        (b"(K\x01ia\nb\n.", "a.b(1)[]{}"),
        (b"(ca\nb\nK\x01o.", "a.b(1)[]{}"),
        (b"ca\nb\n)RNb.", "a.b()[]{} state None"),
        (b"ca\nb\n)R(K\x01Nu.", "a.b()[]{1:None}"),
        (b"ca\nb\n)R(K\x01e.", "a.b()[1]{}"),
        (b"Pabc\n.", "@\"abc\""),
        (b"NQ.", "@None"),
    ] {
        assert_eq!(read(pickle), expected, "{pickle:?}");
        // no beginning of it is a pickle
        for end in 0..pickle.len() {
            assert!(values(&pickle[..end]).is_err(), "{:?}", &pickle[..end]);
        }
    }
}

fn problem(pickle: &[u8]) -> (u64, PickleProblem) {
    let error = values(pickle).expect_err("a refusal");
    match error.downcast() {
        Ok(TorchError::Pickle { offset, problem, .. }) => (offset, problem),
        other => panic!("{pickle:?}: {other:?}"),
    }
}

#[test]
fn every_mistake_is_named_with_its_place() {
    use PickleProblem as P;
    let kind = |expected, found| P::Kind { expected, found };
    for (pickle, offset, expected) in [
        (&b""[..], 0, P::Ends { wanted: 1, left: 0 }),
        (b".", 0, P::EmptyStack),
        (b"N0.", 2, P::EmptyStack),
        (b"(.", 1, P::EmptyStack),
        (b"N(\x85.", 2, P::EmptyStack),
        (b"Nt.", 1, P::NoMark),
        (b"Ne.", 1, P::NoMark),
        (b"(o.", 1, P::EmptyStack),
        (b"}(Nu.", 3, P::Unpaired(1)),
        (b"h\x07.", 0, P::Memo(7)),
        (b"q\x07.", 0, P::EmptyStack),
        (b"NNa.", 2, kind("a list", "None")),
        (b"NNNs.", 3, kind("a dictionary", "None")),
        (b"NN\x93.", 2, kind("a text", "None")),
        (b"N)R.", 2, kind("a class or function", "None")),
        (b"ca\nb\nNR.", 6, kind("a tuple of arguments", "None")),
        (b"NNb.", 2, kind("an object", "None")),
        (b"\x80\x06.", 0, P::Protocol(6)),
        (b"\xff.", 0, P::Instruction(0xff)),
        (b"\x82\x01.", 0, P::Outside(0x82)),
        (b"\x97.", 0, P::Outside(0x97)),
        (b"Iabc\n.", 0, P::Number("abc".into())),
        (b"L-\n.", 0, P::Number("-".into())),
        (b"Fx\n.", 0, P::Number("x".into())),
        (b"gx\n.", 0, P::Number("x".into())),
        (b"c\xff\n\n.", 0, P::NotUtf8),
        (b"X\xff\xff\xff\xff.", 0, P::Ends { wanted: u64::from(u32::MAX), left: 1 }),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 0, P::Ends { wanted: u64::MAX, left: 1 }),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", 0, P::Ends { wanted: u64::MAX, left: 1 }),
        (b"\x8b\xff\xff\xff\xff.", 0, P::Ends { wanted: u64::from(u32::MAX), left: 1 }),
    ] {
        assert_eq!(problem(pickle), (offset, expected), "{pickle:?}");
    }
}

#[test]
fn a_line_that_does_not_end_is_given_up() {
    let endless = [b"V".to_vec(), vec![b'a'; 2 << 20]].concat();
    assert_eq!(problem(&endless).1, PickleProblem::Limit { what: "bytes in a line", limit: 1 << 20 });
}

#[test]
fn a_pickle_that_only_grows_ends_at_a_limit() {
    // an empty list is the dearest value for its byte
    assert_eq!(problem(&vec![b']'; 9 << 20]).1, PickleProblem::Limit { what: "values", limit: 8 << 20 });
}

#[test]
fn long_texts_and_bytes_are_passed_over_unread() {
    let length = (3u32 << 20).to_le_bytes();
    for instruction in [b'X', b'T', b'B'] {
        let pickle = [&[instruction][..], &length, &vec![b'a'; 3 << 20], b"K\x07\x86."].concat();
        assert_eq!(read(&pickle), "(? 7)");
    }
}
