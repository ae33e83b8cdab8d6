//! What norms, their parameters and their kin are called.

/// Whether a parameter of this name is a bias.
pub(crate) fn is_bias(end: &str) -> bool {
    matches!(end, "bias" | "beta" | "bias:0" | "b" | "beta:0") || end.ends_with("_bias")
}

/// Whether a tensor of this name is a running statistic.
pub(crate) fn is_statistic(end: &str) -> bool {
    matches!(end, "running_mean" | "running_var" | "moving_mean" | "moving_variance" | "mean_ema" | "var_ema")
        || matches!(end, "moving_mean:0" | "moving_variance:0")
}

/// What the parameters of norms are called.
pub(crate) fn is_of_norm(end: &str) -> bool {
    matches!(end, "weight" | "bias" | "gamma" | "beta" | "scale" | "g" | "b" | "a_2" | "b_2" | "gamma:0" | "beta:0")
}

/// Whether a module of this name is a norm.
pub(crate) fn is_norm_name(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    let word = |part: &str| matches!(part.trim_end_matches(|c: char| c.is_ascii_digit()), "ln" | "bn" | "gn" | "rms");
    component.contains("norm") && !component.contains("denorm") || component.split('_').any(word)
}

/// Whether a parameter or module of this name scales a whole branch.
pub(crate) fn is_layer_scale(component: &str) -> bool {
    let component = component.to_ascii_lowercase();
    let named = ["layer_scale", "layerscale"].iter().any(|word| component.contains(word));
    named || matches!(component.as_str(), "gamma_1" | "gamma_2" | "lambda1" | "ls1" | "ls2")
}
