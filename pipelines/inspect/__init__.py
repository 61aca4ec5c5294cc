"""`rssn inspect`, `rssn status` and `rssn replay`: what a data set holds, and how a row came about."""
