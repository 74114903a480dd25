"""gitdeploy: a push-to-deploy git server for a machine of your own."""

__version__ = "0.1.0"
