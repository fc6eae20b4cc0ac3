"""Measuring many architectures on one backend: plan, worker subprocess, and the loop that never
loses or repeats a row."""

from latbench.campaign.campaign import CampaignOptions, CampaignOutcome, Progress, run_campaign

__all__ = ["CampaignOptions", "CampaignOutcome", "Progress", "run_campaign"]
