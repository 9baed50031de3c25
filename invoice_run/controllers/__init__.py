from . import portal, preview, register
