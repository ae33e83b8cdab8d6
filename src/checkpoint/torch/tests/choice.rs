//! Which dictionary is taken, and what is said of the others.

use super::forge::{dictionary, tensor, whole, with_entries};
use super::{open_bytes, open_fixture, refusal};

#[test]
fn which_dictionary_was_taken_is_a_note() {
    let notes = open_fixture("in_model_state.pt", None).unwrap().notes;
    assert_eq!(notes, ["in_model_state.pt: the weights are those of `model_state`"]);
}

#[test]
fn averages_are_never_taken_unasked_and_are_named() {
    let notes = open_fixture("with_ema.pt", None).unwrap().notes;
    assert!(notes[0].contains("`model`; tensors are also in ema (--key)"), "{notes:?}");
    let error = open_fixture("only_ema.pt", None).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "only_ema.pt contains only averaged weights: model_ema");
    assert_eq!(error.hints(), ["choose one: --key model_ema"]);
}

#[test]
fn several_dictionaries_without_a_usual_name_are_a_question() {
    let error = open_fixture("two.pt", None).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "two.pt contains several dictionaries of tensors: encoder, decoder");
    assert!(error.hints().contains(&"choose one: --key encoder".to_string()), "{:?}", error.hints());
}

#[test]
fn a_key_is_hinted_with_its_whole_path() {
    let weights = || dictionary(&[("layer.weight", tensor(6, 0, &[2, 3], &[3, 1]))]);
    let inside = dictionary(&[("encoder", weights()), ("the decoder", weights())]);
    let bytes = with_entries(&[("epoch", whole(3)), ("state", dictionary(&[("nets", inside)]))]);
    let error = open_bytes(&bytes).map(|_| ()).unwrap_err();
    let hints = error.hints();
    assert!(hints.contains(&"choose one: --key state.nets.encoder".to_string()), "{hints:?}");
    assert!(hints.contains(&"choose one: --key 'state.nets.the decoder'".to_string()), "{hints:?}");
    let averaged = with_entries(&[("state", dictionary(&[("ema", weights())]))]);
    assert_eq!(open_bytes(&averaged).map(|_| ()).unwrap_err().hints(), ["choose one: --key state.ema"]);
}

#[test]
fn a_key_that_is_not_there_is_refused_with_those_that_are() {
    let error = refusal(open_fixture("with_ema.pt", Some("emma")));
    assert_eq!(error, "with_ema.pt has no dictionary of tensors `emma`; it has model, ema");
    refusal(open_fixture("with_ema.pt", Some("model.")));
    refusal(open_fixture("with_ema.pt", Some("")));
    refusal(open_fixture("with_ema.pt", Some("model.state_dict.layer")));
}

#[test]
fn what_holds_no_weights_is_called_what_it_is() {
    for (file, expected) in [
        ("optimizer.pt", "optimizer.pt contains the state of an optimizer (`param_groups`) and no weights"),
        ("tensor.pt", "tensor.pt contains no named tensors: it is a single tensor, which has no name"),
        ("arguments.pt", "arguments.pt contains no named tensors: it is an object of argparse.Namespace"),
    ] {
        assert_eq!(refusal(open_fixture(file, None)), expected);
    }
}

#[test]
fn tensors_that_cannot_be_carried_are_refused_by_name() {
    for (file, expected) in [
        ("quantised.pt", "quantised.pt: tensor packed: it is quantised (`torch._utils._rebuild_qtensor`)"),
        ("sparse.pt", "sparse.pt: tensor weight: it is sparse (`torch._utils._rebuild_sparse_tensor`)"),
        ("complex128.pt", "complex128.pt: tensor weight: elements of type `complex128` cannot be read"),
        (
            "conjugated.pt",
            "conjugated.pt: tensor weight: it is stored conjugated or negated (`torch._utils._rebuild_tensor_v2`)",
        ),
        (
            "meta.pt",
            "meta.pt: tensor weight: it is on the meta device, without values (`torch._utils._rebuild_meta_tensor_no_storage`)",
        ),
    ] {
        assert_eq!(refusal(open_fixture(file, None)), expected);
    }
}
