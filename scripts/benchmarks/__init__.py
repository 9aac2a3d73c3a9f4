"""What golive claims with a number, measured on the machine it runs on."""
