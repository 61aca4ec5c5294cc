"""`rssn gap`: data sets and photographs in, a page and figures out."""
