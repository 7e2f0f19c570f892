"""Your own phone in the loop: what files answer and how long they take in its browser.

```python
report = slim.phone.measure(["dense.tflite", "pruned.tflite"], model=model, data=x)
```

prints an address and a QR code; open it on the phone. Its browser runs the files by LiteRT's runtime for browsers
(WebAssembly, and WebGPU where there is any) and sends back the raw outputs and the times. The outputs are compared
here, with the Keras model or with LiteRT on this computer. Nothing is installed on the phone, and nothing leaves the
network.

The steps between, one file each: what a phone is asked and how its answers are judged (`trial`), the runtime for
browsers (`runtime`), the server (`server`, `certificate`, `address`), what comes back (`message`), who is there
(`visits`), and what the terminal shows (`display`).
"""

from keras_slim.phone.measuring import PhoneServer, measure
from keras_slim.phone.report import BrowserLatency, FileOnPhone, Phone, PhoneReport

__all__ = [
    "BrowserLatency",
    "FileOnPhone",
    "Phone",
    "PhoneReport",
    "PhoneServer",
    "measure",
]
