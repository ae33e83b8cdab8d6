//! The rules of a file, already checked against their tables.

use serde::de::DeserializeOwned;

use super::node::{Entry, Json, Node, Read, Wrong};
use super::{
    AdaptRule, DepthList, DepthRule, InitRule, LabelRule, ListItem, MapRule, NewRows, Rules, Selector, VocabRule,
};
use crate::arch::error::Problem;
use crate::error::Error;
use crate::tensor::Dtype;

/// Reads the rules that stand in this object.
pub(crate) fn read(node: &Node) -> Read<Rules> {
    let init = each(node, "init", init_rule)?;
    Ok(Rules {
        map: each(node, "map", map_rule)?,
        depth: entries(node, "depth", depth_rule)?,
        adapt: each(node, "adapt", adapt_rule)?,
        vocab: node.get("vocab").map(vocab_rule).transpose()?,
        labels: entries(node, "labels", label_rule)?,
        init_from_file: init.len(),
        init,
        new: each(node, "new", selector)?,
        unused: each(node, "unused", selector)?,
        reinit: Vec::new(),
        dtype: node.get("dtype").map(dtype).transpose()?,
    })
}

/// The error of a lower layer, at this value.
fn at<T>(node: &Node, result: Result<T, Error>) -> Read<T> {
    result.map_err(|error| Wrong::new(node.at, error))
}

fn each<T>(node: &Node, key: &str, read: impl Fn(&Node, &str) -> Read<T>) -> Read<Vec<T>> {
    let elements = node.get(key).and_then(Node::list).unwrap_or_default();
    elements.iter().enumerate().map(|(index, element)| read(element, &format!("{key}[{index}]"))).collect()
}

fn entries<T>(node: &Node, key: &str, read: impl Fn(&Entry, &str) -> Read<T>) -> Read<Vec<T>> {
    let entries = node.get(key).and_then(Node::entries).unwrap_or_default();
    entries.iter().map(|entry| read(entry, key)).collect()
}

fn selector(node: &Node, place: &str) -> Read<Selector> {
    at(node, Selector::parse(&node.read::<String>("pattern")?, place))
}

fn matched(node: &Node, place: &str) -> Read<Selector> {
    let pattern: String = node.need("match", place)?;
    at(node.get("match").unwrap_or(node), Selector::parse(&pattern, place))
}

/// A type by its name, anywhere in a file.
pub(crate) fn dtype(node: &Node) -> Read<Dtype> {
    at(node, node.text().ok_or_else(|| node.wrong_type("dtype", "a string"))?.parse())
}

fn one_or_several(node: &Node, what: &str) -> Read<Vec<String>> {
    match node.value {
        Json::Text(_) => Ok(vec![node.read(what)?]),
        _ => node.read(what),
    }
}

fn map_rule(node: &Node, place: &str) -> Read<MapRule> {
    let to = one_or_several(node.get("to").unwrap_or(node), "to")?;
    let from = match node.get("from") {
        None | Some(Node { value: Json::Null, .. }) => None,
        Some(from) => Some(one_or_several(from, "from")?),
    };
    let ops = node.get("ops").and_then(Node::list).unwrap_or_default();
    let ops = ops.iter().map(|op| at(op, op.read::<String>("ops")?.parse())).collect::<Read<Vec<_>>>()?;
    let written = format!("{} = {}", to.join(", "), from.as_ref().map_or("null".into(), |names| names.join(", ")));
    at(node, MapRule::new(&to, from.as_deref(), ops, &written, place))
}

fn depth_rule(entry: &Entry, place: &str) -> Read<DepthRule> {
    let path = Selector::parse(&entry.key, place).map_err(|error| Wrong::new(entry.at, error))?;
    let list = match entry.node.list() {
        Some(items) => DepthList::Items(items.iter().map(list_item).collect::<Read<Vec<_>>>()?.concat()),
        None => at(&entry.node, entry.node.read::<String>("depth")?.parse())?,
    };
    Ok(DepthRule { path, list })
}

/// A number is an index; a string is one item or a range, as in a list on the command line.
fn list_item(node: &Node) -> Read<Vec<ListItem>> {
    let Json::Text(text) = &node.value else { return Ok(vec![ListItem::Index(node.read("depth")?)]) };
    match at(node, text.parse::<DepthList>())? {
        DepthList::Items(items) => Ok(items),
        _ => Err(node.wrong_type("depth", "an index, a range or \"new\"")),
    }
}

/// A word of an enumeration whose spelling is serde's.
fn word<T: DeserializeOwned>(node: &Node, key: &str) -> Read<Option<T>> {
    let Some(value) = node.get(key) else { return Ok(None) };
    serde_json::from_value(value.plain()).map(Some).map_err(|_| value.wrong_type(key, "one of the known words"))
}

fn adapt_rule(node: &Node, place: &str) -> Read<AdaptRule> {
    Ok(AdaptRule {
        target: matched(node, place)?,
        positions: word(node, "positions")?,
        heads: word(node, "heads")?,
        rows: word(node, "rows")?,
        prefix: word(node, "prefix")?,
    })
}

fn vocab_rule(node: &Node) -> Read<VocabRule> {
    Ok(VocabRule {
        tokenizer: node.need("tokenizer", "vocab")?,
        target: node.get("match").map(|target| selector(target, "vocab")).transpose()?,
        new_tokens: word(node, "new_tokens")?.unwrap_or(NewRows::Mean),
    })
}

fn label_rule(entry: &Entry, place: &str) -> Read<LabelRule> {
    let head = Selector::parse(&entry.key, place).map_err(|error| Wrong::new(entry.at, error))?;
    at(&entry.node, LabelRule::new(Some(head), entry.node.read(place)?))
}

/// The scheme as one text: its name, and the other keys as its parameters.
fn init_rule(node: &Node, place: &str) -> Read<InitRule> {
    let scheme: String = node.need("scheme", place)?;
    let place_of_scheme = node.get("scheme").unwrap_or(node);
    let others =
        node.entries().unwrap_or_default().iter().filter(|entry| !["match", "scheme"].contains(&entry.key.as_str()));
    let parameters = others.map(parameter).collect::<Read<Vec<_>>>()?;
    let written = match (parameters.is_empty(), scheme.contains('(')) {
        (true, _) => scheme,
        (false, false) => format!("{scheme}({})", parameters.join(", ")),
        (false, true) => {
            let (first, second) = (scheme, parameters.join(", "));
            return Err(Wrong { at: place_of_scheme.at, problem: Problem::Exclusive { first, second } });
        }
    };
    let scheme = at(if parameters.is_empty() { place_of_scheme } else { node }, written.parse())?;
    Ok(InitRule { target: Some(matched(node, place)?), scheme })
}

fn parameter(entry: &Entry) -> Read<String> {
    match &entry.node.value {
        Json::Number(number) => Ok(format!("{}={number}", entry.key)),
        Json::Text(text) => Ok(format!("{}={text}", entry.key)),
        Json::Bool(value) => Ok(format!("{}={value}", entry.key)),
        Json::Null | Json::List(_) | Json::Object(_) => Err(entry.node.wrong_type(&entry.key, "a number or a word")),
    }
}
