"""The module that fixtures/ticket-router.json describes, for `load.py torch`."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel


class TicketRouter(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bert = BertModel(config)
        self.hidden = torch.nn.Linear(config.hidden_size, 12)
        self.classifier = torch.nn.Linear(12, 7)


fixtures = Path(__file__).parents[2] / "fixtures"
model = TicketRouter(BertConfig.from_pretrained(fixtures / "tiny-bert"))
