//! What training makes small: how far outputs are from their answers. Made of operations whose gradients were found sound.

use candle_core::{D, DType, Result, Tensor};

use crate::batch::Answers;

/// The loss of an output, a scalar whose gradient flows: the mean cross entropy of `(…, classes)` with labels, natural logarithm,
/// ignored labels not counted (`torch.nn.functional.cross_entropy`); the mean square of the distance with targets (`mse_loss`).
/// The shapes must have been checked.
pub(crate) fn loss(output: &Tensor, answers: &Answers) -> Result<Tensor> {
    match answers {
        Answers::Labels(labels) => cross_entropy(output, labels),
        Answers::Targets(targets) => (output - targets)?.sqr()?.mean_all(),
    }
}

fn cross_entropy(output: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let classes = output.dim(D::Minus1)?;
    let (logits, labels) = (output.reshape(((), classes))?, labels.flatten_all()?);
    let counted = labels.ge(0i64)?;
    let weights = counted.to_dtype(DType::F32)?;
    let classes = counted.where_cond(&labels, &labels.zeros_like()?)?;
    // the largest is subtracted, so that no exponential overflows; it is a constant to the gradient
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let normaliser = shifted.exp()?.sum(D::Minus1)?.log()?;
    let chosen = shifted.gather(&classes.unsqueeze(1)?, 1)?.squeeze(1)?;
    let total = ((normaliser - chosen)? * &weights)?.sum_all()?;
    total.broadcast_div(&weights.sum_all()?)
}

/// How many labels that count there are, and of how many of them the largest output is the label's.
pub(crate) fn correct(output: &Tensor, labels: &Tensor) -> Result<(u64, u64)> {
    let guessed = output.argmax(D::Minus1)?.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?;
    let labels = labels.flatten_all()?.to_vec1::<i64>()?;
    let counted = labels.iter().zip(&guessed).filter(|(label, _)| **label >= 0);
    Ok(counted.fold((0, 0), |(all, right), (label, guess)| (all + 1, right + u64::from(label == guess))))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn tensor(values: &[f32], shape: (usize, usize)) -> Tensor {
        Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn cross_entropy_is_that_of_torch_and_passes_over_ignored_labels() {
        // torch.nn.functional.cross_entropy(tensor([[1., 2., 3.], [0., -1., 5.], [2., 0., 0.]]), tensor([2, -100, 1]))
        let output = tensor(&[1.0, 2.0, 3.0, 0.0, -1.0, 5.0, 2.0, 0.0, 0.0], (3, 3));
        let labels = Tensor::new(&[2i64, -100, 1], &Device::Cpu).unwrap();
        let found = loss(&output, &Answers::Labels(labels.clone())).unwrap().to_scalar::<f32>().unwrap();
        assert!((found - 1.323_576_3).abs() < 1e-6, "{found}");
        assert_eq!(correct(&output, &labels).unwrap(), (2, 1));
    }

    #[test]
    fn large_logits_overflow_nothing() {
        let output = tensor(&[1e30, -1e30, 3.0, 1e4, 0.0, 0.0], (2, 3));
        let labels = Tensor::new(&[0i64, 0], &Device::Cpu).unwrap();
        let found = loss(&output, &Answers::Labels(labels)).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(found, 0.0);
    }

    #[test]
    fn the_gradient_is_softmax_less_the_label_over_the_count() {
        let output = Var::from_tensor(&tensor(&[1.0, 2.0, 3.0, 0.5, 0.5, 0.5], (2, 3))).unwrap();
        let labels = Tensor::new(&[1i64, -100], &Device::Cpu).unwrap();
        let gradients = loss(&output, &Answers::Labels(labels)).unwrap().backward().unwrap();
        let found = gradients.get(&output).unwrap().to_vec2::<f32>().unwrap();
        let expected = [[0.090_030_57f32, 0.244_728_48 - 1.0, 0.665_240_94], [0.0; 3]];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
