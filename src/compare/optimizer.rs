//! What takes the steps, with PyTorch's arithmetic.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// An optimizer and its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `torch.optim.SGD`: v ← μv + g; w ← w − lr·v.
    Sgd {
        /// The step.
        lr: f64,
        /// How much of the last step is taken again.
        momentum: f64,
    },
    /// `torch.optim.AdamW` (Loshchilov and Hutter, arXiv:1711.05101) with its defaults: β 0.9 and 0.999, ε 1e-8, decay 0.01.
    AdamW {
        /// The step.
        lr: f64,
    },
}

const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;
const DECAY: f64 = 0.01;

/// What an optimizer remembers of every variable.
pub(super) struct State {
    optimizer: Optimizer,
    steps: i32,
    /// The velocity, or the mean of the gradient and of its square.
    memory: BTreeMap<String, (Tensor, Option<Tensor>)>,
}

impl State {
    pub(crate) fn new(optimizer: Optimizer) -> State {
        State { optimizer, steps: 0, memory: BTreeMap::new() }
    }

    pub(crate) fn step(&mut self, variables: &[(&str, &Var)], gradients: &GradStore) -> Result<()> {
        self.steps += 1;
        for (name, variable) in variables {
            if let Some(gradient) = gradients.get(variable.as_tensor()) {
                let value = self.moved(name, variable.as_tensor(), gradient)?;
                variable.set(&value)?;
            }
        }
        Ok(())
    }

    fn moved(&mut self, name: &str, value: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let gradient = gradient.detach();
        let before = self.memory.get(name);
        match self.optimizer {
            Optimizer::Sgd { lr, momentum } => {
                let velocity = match before {
                    Some((velocity, _)) => ((velocity * momentum)? + &gradient)?,
                    None => gradient,
                };
                let value = (value - (&velocity * lr)?)?.detach();
                self.memory.insert(name.to_string(), (velocity, None));
                Ok(value)
            }
            Optimizer::AdamW { lr } => {
                let (mean, square) = match before {
                    Some((mean, Some(square))) => (mean.clone(), square.clone()),
                    Some((_, None)) | None => (gradient.zeros_like()?, gradient.zeros_like()?),
                };
                let mean = ((mean * BETAS.0)? + (&gradient * (1.0 - BETAS.0))?)?;
                let square = ((square * BETAS.1)? + (gradient.sqr()? * (1.0 - BETAS.1))?)?;
                let (first, second) = (1.0 - power(BETAS.0, self.steps), 1.0 - power(BETAS.1, self.steps));
                let scale = ((square.sqrt()? / second.sqrt())? + EPS)?;
                let step = (&mean / &scale)? * (lr / first);
                let value = ((value * (1.0 - lr * DECAY))? - step?)?.detach();
                self.memory.insert(name.to_string(), (mean, Some(square)));
                Ok(value)
            }
        }
    }
}

/// By repeated multiplication: as exact as it need be, and the same everywhere.
fn power(base: f64, exponent: i32) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Minimises Σ (w − t)² · c for three steps.
    fn three_steps(optimizer: Optimizer) -> Vec<f32> {
        let device = Device::Cpu;
        let w = Var::new(&[1.0f32, -2.0, 0.5], &device).unwrap();
        let (t, c) = (Tensor::new(&[0.0f32, 1.0, 0.5], &device).unwrap(), Tensor::new(&[1.0f32, 0.1, 3.0], &device));
        let c = c.unwrap();
        let mut state = State::new(optimizer);
        for _ in 0..3 {
            let loss = ((w.as_tensor() - &t).unwrap().sqr().unwrap() * &c).unwrap().sum_all().unwrap();
            state.step(&[("w", &w)], &loss.backward().unwrap()).unwrap();
        }
        w.to_vec1().unwrap()
    }

    #[track_caller]
    fn near(found: Vec<f32>, expected: [f32; 3]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    /// torch.optim.SGD([w], lr=0.1, momentum=0.9) on the same function.
    #[test]
    fn sgd_steps_as_torch_does() {
        near(three_steps(Optimizer::Sgd { lr: 0.1, momentum: 0.9 }), SGD);
    }

    /// torch.optim.AdamW([w], lr=0.1) on the same function.
    #[test]
    fn adamw_steps_as_torch_does() {
        near(three_steps(Optimizer::AdamW { lr: 0.1 }), ADAMW);
    }

    const SGD: [f32; 3] = [0.062, -1.669_135_9, 0.5];
    const ADAMW: [f32; 3] = [0.698_911_25, -1.694_696_3, 0.509_352_15];
}
