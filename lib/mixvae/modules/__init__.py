"""The parts of the network: layers, encoders, conditioners, backbones, heads, and the decoders made of them."""
