"""Commands of model-manager in processes of their own, under every misfortune: what their tests share."""
