"""`rssn export`: a data set in the forms that other trainers read."""
