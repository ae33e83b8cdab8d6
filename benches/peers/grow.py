"""transformers: a BERT with two more layers, loaded and saved.    python grow.py BASE OUT"""

import sys

import transformers

config = transformers.BertConfig.from_pretrained(sys.argv[1])
config.num_hidden_layers += 2
transformers.utils.logging.set_verbosity_error()
model = transformers.BertModel.from_pretrained(sys.argv[1], config=config)
model.save_pretrained(sys.argv[2])
