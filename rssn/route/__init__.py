"""The paper's route: recipe, draws, foreground estimation, denoising and composition."""
