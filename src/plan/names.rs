//! What dotted names say: indices, templates, the paths above.

/// Whether a component is an index of a repeated block.
pub(super) fn is_index(component: &str) -> bool {
    !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit())
}

/// The last component.
pub(super) fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Everything before the last component; empty where there is one alone.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The name with every index replaced by `{i}`: what is alike in all layers of a repeated block.
pub(crate) fn template(name: &str) -> String {
    let components: Vec<&str> = name.split('.').map(|part| if is_index(part) { "{i}" } else { part }).collect();
    components.join(".")
}

/// The paths above a name, nearest first, and the name itself before them.
pub(super) fn self_and_ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |path| path.rsplit_once('.').map(|(parent, _)| parent))
}

/// Whether `name` lies below `path` (everything lies below the empty path).
pub(super) fn is_below(name: &str, path: &str) -> bool {
    path.is_empty() || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}
